"""Progress: bars on a terminal, lines elsewhere."""

import io

from busyd.cli.progress import open_progress

STEP = {"connection": "anna", "calendar": "Work", "phase": "fetching", "done": 1, "total": 2}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_plain_text_does_not() -> None:
    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        with open_progress(stream) as progress:
            progress.show(STEP)
            progress.show({**STEP, "done": 2})
    assert "anna/Work fetching" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    assert plain.getvalue() == "anna/Work: fetching 1 of 2\nanna/Work: fetching 2 of 2\n"


def test_steps_with_missing_or_odd_members_are_shown_as_they_can_be() -> None:
    plain = io.StringIO()
    with open_progress(plain) as progress:
        progress.show({"connection": "anna"})
        progress.show({"connection": "anna", "done": "x", "total": None, "phase": "a\nb"})
    assert plain.getvalue() == "anna: reading\nanna: a b\n"
