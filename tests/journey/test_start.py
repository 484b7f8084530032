"""A start: it answers from what is stored, and whoever asks meanwhile does not wait for what only polling needs."""

from tests.journey.daemon import Busyd, wait_for


def test_the_loop_never_waits_for_what_only_polling_needs(busyd: Busyd) -> None:
    busyd.module = ("tests.journey.loop_imports",)
    busyd.start()
    wait_for(lambda: busyd.status_of("/readyz") == 200)  # everything was read: all of it is loaded
    assert busyd.stop() == 0
    assert "the loop has imported" not in busyd.log.read_text()
