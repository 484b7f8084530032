"""The daemon's ledger: no request waits for the disk, no use is lost, and no other process is overheard."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.period import Instant
from busyd.store import ledger_thread
from busyd.store.errors import StorageError
from busyd.store.ledger import Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.sqlite.connection import open_connection

NOW = Instant(1_790_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def command_line(path: Path) -> Iterator[Ledger]:
    """The same file as another process has it open."""
    ledger = Ledger.open(path)
    yield ledger
    ledger.close()


@pytest.fixture
def opened(path: Path, command_line: Ledger) -> Ledger:
    assert command_line.tokens() == []
    return Ledger.open(path, busy_timeout=0.05)


@pytest.fixture
def ledger(opened: Ledger) -> Iterator[LedgerThread]:
    thread = LedgerThread(opened)
    yield thread
    thread.close()


def add(command_line: Ledger, name: str = "") -> tuple[str, str]:
    made = command_line.add_token("anna", scopes=["freebusy"], details=False, expires=None, name=name, now=NOW)
    return made.id, made.text


def last_uses(path: Path) -> list[Instant | None]:
    """As `busyd token list` would show them."""
    ledger = Ledger.open(path)
    uses = [token.last_used for token in ledger.tokens()]
    ledger.close()
    return uses


async def test_what_another_process_makes_and_revokes_counts_at_the_next_request(
    ledger: LedgerThread, command_line: Ledger
) -> None:
    number, text = add(command_line)
    assert ledger.known_token(text, NOW) is None  # memory alone cannot tell yet
    assert await ledger.find_token(text, NOW) is not None
    assert ledger.known_token(text, NOW) is not None
    command_line.revoke_token(number)
    assert ledger.known_token(text, NOW) is None
    assert await ledger.find_token(text, NOW) is None


async def test_many_who_ask_at_once_share_one_reading(ledger: LedgerThread, command_line: Ledger) -> None:
    texts = [add(command_line, str(number))[1] for number in range(5)]
    tokens = await asyncio.gather(*(ledger.find_token(text, NOW) for text in texts * 20))
    assert None not in tokens


async def test_uses_are_written_together_a_moment_later(
    ledger: LedgerThread, command_line: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_thread, "USES_ARE_WRITTEN_AFTER", 0.0)
    written = asyncio.Event()
    loop, write = asyncio.get_running_loop(), Ledger.write_uses
    calls: list[object] = []

    def watched(written_ledger: Ledger) -> None:
        write(written_ledger)
        calls.append(written_ledger)
        loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr(Ledger, "write_uses", watched)
    for number in range(3):
        token = await ledger.find_token(add(command_line, str(number))[1], NOW)
        assert token is not None
    for known in command_line.tokens():
        ledger.note_use(known, Instant(NOW + 5))
    assert last_uses(path) == [None, None, None]
    await written.wait()
    assert last_uses(path) == [NOW + 5, NOW + 5, NOW + 5]
    assert len(calls) == 1


async def test_uses_not_yet_written_are_written_at_close(command_line: Ledger, opened: Ledger, path: Path) -> None:
    ledger = LedgerThread(opened)
    token = await ledger.find_token(add(command_line)[1], NOW)
    assert token is not None
    ledger.note_use(token, Instant(NOW + 5))
    ledger.close()
    assert last_uses(path) == [NOW + 5]


async def test_a_use_is_known_at_once_and_survives_a_reading_before_it_is_written(
    ledger: LedgerThread, command_line: Ledger
) -> None:
    token = await ledger.find_token(text := add(command_line)[1], NOW)
    assert token is not None
    ledger.note_use(token, Instant(NOW + 5))
    add(command_line, "another")
    token = await ledger.find_token(text, NOW)
    assert token is not None
    assert token.last_used == NOW + 5


def test_writing_uses_does_not_make_the_tokens_in_memory_old(opened: Ledger, command_line: Ledger) -> None:
    number, text = add(command_line)
    token = opened.find_token(text, NOW)
    assert token is not None
    assert opened.note_use(token, NOW)
    opened.write_uses()
    assert opened.is_current()
    command_line.revoke_token(number)
    assert not opened.is_current()
    opened.close()


def test_a_write_of_uses_that_changed_nothing_hides_no_change_by_others(opened: Ledger, command_line: Ledger) -> None:
    (gone, gone_text), (number, text) = add(command_line, "gone"), add(command_line)
    token = opened.find_token(gone_text, NOW)
    assert token is not None
    assert opened.note_use(token, NOW)
    command_line.revoke_token(gone)
    opened.refresh()
    opened.write_uses()  # of a token that is no more: the file stays as it is
    command_line.revoke_token(number)
    assert opened.find_token(text, NOW) is None
    opened.close()


def test_uses_that_cannot_be_written_are_kept_for_the_next_time(
    opened: Ledger, command_line: Ledger, path: Path
) -> None:
    token = opened.find_token(add(command_line)[1], NOW)
    assert token is not None
    assert opened.note_use(token, NOW)
    other = open_connection(path, journal="DELETE", synchronous="FULL")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked"):
        opened.write_uses()
    other.execute("ROLLBACK")
    other.close()
    opened.write_uses()
    assert last_uses(path) == [NOW]
    opened.close()


async def test_a_ledger_that_is_locked_does_not_hold_up_the_loop(
    ledger: LedgerThread, command_line: Ledger, path: Path
) -> None:
    _, text = add(command_line)
    other = open_connection(path, journal="DELETE", synchronous="FULL")
    other.execute("BEGIN EXCLUSIVE")
    waiting = asyncio.create_task(ledger.find_token(text, NOW))
    await asyncio.sleep(0)
    assert not waiting.done()  # and yet we are here
    with pytest.raises(StorageError, match="locked"):
        await waiting
    other.execute("ROLLBACK")
    other.close()
    assert await ledger.find_token(text, NOW) is not None
