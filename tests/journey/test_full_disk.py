"""A slice of `scripts/soak full-disk`: writes of the ledger fail, and what was accepted is neither lost nor doubled."""

import shutil
from pathlib import Path

from tests.skips import skip
from tests.soak.loops.full_disk import fill


def test_what_was_accepted_outlives_a_disk_that_fails_at_any_write(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        skip("what makes writes fail is compiled, and there is no gcc")
    found = fill(tmp_path, (1, 3, 8, 20))
    assert not found.wrong, "\n".join(found.wrong)
    assert found.answers.total() == 4
    assert found.writes > 0
