"""Reminders lists are named, and told apart from calendars."""

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd


def test_reminders_lists_are_named_as_what_never_blocks(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").add_calendar("Groceries", id="tasks", components=("VTODO",))
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=[])
    answer = busyd.get("/v1/calendars", token=busyd.admin_token())
    assert answer["reminders"] == ["anna/Groceries"]
    assert "Groceries" not in {calendar["name"] for calendar in answer["calendars"]}
    assert "which hold no events and never block: anna/Groceries\n" in busyd.command("calendars").stdout
