"""What may be done in one transaction: every statement under its own name, whichever engine runs it."""

from busyd.store.statements.calendars import CalendarStatements
from busyd.store.statements.made import MadeStatements
from busyd.store.statements.members import MemberStatements
from busyd.store.statements.objects import ObjectStatements
from busyd.store.statements.occurrences import IndexStatements


class Transaction(CalendarStatements, ObjectStatements, MemberStatements, MadeStatements, IndexStatements):
    """Handed to the work of `Store.transaction`, and good only while that runs."""
