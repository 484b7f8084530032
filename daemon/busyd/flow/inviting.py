"""Guests: who invites them, and when. Nobody is mailed about a slot that may still be given back."""

from busyd.errors import UserError
from busyd.state.state import State


class NoOrganizer(UserError):
    """The account has no address by which it could invite."""


def organizer_of(state: State, connection: str) -> str:
    """The address of an account by which its server knows it as the organizer. Raises NoOrganizer."""
    known = state.connection_state(connection)
    for address in (*known.addresses, known.connection.username):
        name = address.removeprefix("mailto:").removeprefix("MAILTO:")
        if "@" in name and "/" not in name and name.isprintable():
            return name
    message = f"the account {connection} has no mail address by which it could invite guests"
    raise NoOrganizer(message, fix='send "invite": "none": the guests are kept here, and nobody is mailed')
