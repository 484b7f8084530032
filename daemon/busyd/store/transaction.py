"""What may be done in one transaction: every statement under its own name."""

from busyd.store.sqlite.calendars import CalendarStatements
from busyd.store.sqlite.made import MadeStatements
from busyd.store.sqlite.members import MemberStatements
from busyd.store.sqlite.objects import ObjectStatements
from busyd.store.sqlite.occurrences import IndexStatements


class Transaction(CalendarStatements, ObjectStatements, MemberStatements, MadeStatements, IndexStatements):
    """Handed to the work of `Store.transaction`, and good only while that runs."""
