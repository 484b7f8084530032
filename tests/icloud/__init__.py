"""The simulated iCloud: iCloud's CalDAV dialect, its refusals and its faults, on loopback and on switches.

It is documentation as much as a test tool: each module tells one side of how iCloud behaves. It is not a calendar
server to keep anything in, and it shares no code with busyd, so that the two cannot be wrong together.
"""

from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar, StoredObject
from tests.icloud.faults import Fault
from tests.icloud.knobs import Knobs
from tests.icloud.server import SimulatedIcloud

__all__ = ["Account", "Calendar", "Fault", "Knobs", "SimulatedIcloud", "StoredObject"]
