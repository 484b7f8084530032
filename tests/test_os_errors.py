"""Which errors pass by themselves and which stay: a table, and what real files and addresses raise."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from busyd.cli.exit_status import ExitStatus, status_of
from busyd.errors import Misconfigured, TryAgain
from busyd.os_errors import PASSES, STAYS, fault_of, passes_by_itself


def bind(address: tuple[str, int]) -> None:
    with socket.socket() as listener:
        listener.bind(address)


@pytest.mark.parametrize(
    ("number", "status"),
    [(number, 75) for number in PASSES] + [(number, 78) for number in STAYS],
    ids=lambda value: errno.errorcode.get(value, str(value)),
)
def test_an_error_of_each_kind_has_its_status_and_its_reason(number: int, status: int) -> None:
    fault = fault_of(OSError(number, os.strerror(number)), "cannot do it")
    assert status_of(fault) == status
    assert str(fault).startswith("cannot do it: ")


def test_no_error_both_passes_and_stays() -> None:
    assert not PASSES.keys() & STAYS.keys()


def test_what_nobody_foresaw_is_tried_again() -> None:
    assert passes_by_itself(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert status_of(fault_of(OSError("of no number"), "x")) == ExitStatus.TRY_AGAIN


@pytest.mark.parametrize(
    ("work", "family"),
    [
        (lambda folder: (folder / "missing" / "x").touch(), TryAgain),
        (lambda _: bind(("192.0.2.1", 0)), TryAgain),
        (lambda folder: (folder / "file" / "x").touch(), Misconfigured),
        (lambda folder: folder.write_text(""), Misconfigured),
        (lambda folder: (folder / ("x" * 300)).touch(), Misconfigured),
        (lambda folder: (folder / "loop").read_text(), Misconfigured),
    ],
    ids=["no parent", "no such address", "a file as parent", "a directory as file", "long name", "circle of links"],
)
def test_what_the_system_really_raises_falls_into_its_family(
    tmp_path: Path, work: Callable[[Path], object], family: type[Exception]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Errno") as raised:
        work(tmp_path)
    assert isinstance(fault_of(raised.value, "x"), family)


def test_better_advice_than_that_of_the_table_wins() -> None:
    assert fault_of(PermissionError(errno.EACCES, "Permission denied"), "x", fix="do this").fix == "do this"
