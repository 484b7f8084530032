"""The e-mails iCloud sends on its own when a client writes events with guests. Nothing is sent; it is all counted."""

from tests.icloud import content
from tests.icloud.accounts import Account, Mail
from tests.icloud.content import Line


def note_mails(account: Account, *, before: str, after: str) -> None:
    """A client wrote `after` over `before` (empty: there was none; empty after: deleted).

    Mails go out only when the organizer is the account's owner; every change mails every guest again.
    """
    now, then = _guests(account, after), _guests(account, before)
    uid = content.uid_of(after or before)
    for guest in now:
        account.mails.append(Mail("update" if guest in then else "invitation", guest, uid))
    for guest in then:
        if guest not in now:
            account.mails.append(Mail("cancel", guest, uid))


def is_scheduled(text: str) -> bool:
    """Whether iCloud's scheduling handles the object, so that it has a Schedule-Tag."""
    try:
        events = content.read_calendar(text).named("VEVENT")
    except content.NotACalendar:
        return False
    return any(event.has("ORGANIZER") and event.has("ATTENDEE") for event in events)


def _guests(account: Account, text: str) -> list[str]:
    """Addresses of the attendees other than the owner, if the owner is the organizer; each once, overrides too."""
    try:
        events = content.read_calendar(text).named("VEVENT") if text else []
    except content.NotACalendar:
        return []
    found: dict[str, None] = {}
    for event in events:
        if any(_is_owner(account, line) for line in event.all("ORGANIZER")):
            for line in event.all("ATTENDEE"):
                if not _is_owner(account, line) and "SCHEDULE-AGENT=CLIENT" not in line.parameters.upper():
                    found[line.value.strip().lower().removeprefix("mailto:")] = None
    return list(found)


def _is_owner(account: Account, line: Line) -> bool:
    own = {address.lower() for address in account.user_addresses}
    value = line.value.strip().lower()
    email = next((part[6:] for part in line.parameters.split(";") if part.upper().startswith("EMAIL=")), "")
    return value in own or value.rstrip("/") in own or f"mailto:{email.lower()}" in own
