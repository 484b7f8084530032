"""A reload while clients ask: none of them gets an error. `scripts/soak reloads` does a hundred."""

from pathlib import Path

from tests.icloud.server import SimulatedIcloud
from tests.journey.reloads import reload_under_load


def test_no_client_gets_an_error_while_the_configuration_changes(tmp_path: Path, icloud: SimulatedIcloud) -> None:
    clients = reload_under_load(tmp_path, icloud, reloads=10)
    assert not clients.faults
    assert clients.statuses[200] > 100
