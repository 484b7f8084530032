"""What reaches the log: levels the journal understands, and no secret in any form."""

import base64
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.credentials import Secret
from busyd.errors import Misconfigured
from busyd.log import JournalFormatter, JsonFormatter, PlainFormatter, Redactor, is_journal, set_up_logging

CANARY = "hunter2-canary"


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    """The root logger belongs to everybody: give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("aiohttp.access", "asyncio", "busyd.sync")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def hiding(text: str, *usernames: str) -> Redactor:
    redactor = Redactor()
    redactor.hide(Secret(text), *usernames)
    return redactor


def record(level: int, message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("busyd.poll", level, __file__, 1, message, args, info)


@given(st.text(min_size=4).filter(lambda text: not set(text) <= set("*\\ux0123456789abcdefnrtU%'\" ")), st.text())
def test_a_known_secret_is_hidden_in_every_form_it_travels_in(secret: str, around: str) -> None:
    redactor = hiding(secret, "anna@icloud.com")
    basic = base64.b64encode(f"anna@icloud.com:{secret}".encode("utf-8", "surrogatepass")).decode()
    assert secret not in redactor.redact(f"{around[:5]}[{secret}] {secret!r}")
    assert basic not in redactor.redact(f"Authorization: Basic {basic}, again {basic}")


def test_a_secret_is_hidden_in_arguments_and_tracebacks() -> None:
    formatter = PlainFormatter(hiding(CANARY))
    try:
        raise ValueError(CANARY) from OSError(f"cause {CANARY}")
    except ValueError as error:
        text = formatter.format(record(logging.ERROR, "failed with %s", CANARY, error=error))
    assert CANARY not in text
    assert text.count("***") == 3
    assert "Traceback" in text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("GET /feeds/bd_0a1b_c2VjcmV0.ics 200", "GET /feeds/***.ics 200"),
        ("GET /feeds/anything?x=1", "GET /feeds/***?x=1"),
        ("token bd_0123456789ab_AbC-_d used", "token bd_0123456789ab_*** used"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("authorization: basic YW5uYTpwYXNz", "authorization: basic ***"),
        ("https://anna:pw@dav.example.org/x", "https://***@dav.example.org/x"),
        ("basic rules of the backend", "basic rules of the backend"),
        ("polled anna/Work: 3 changed", "polled anna/Work: 3 changed"),
        ("mail anna@icloud.com", "mail anna@icloud.com"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_without_being_known(text: str, hidden: str) -> None:
    assert Redactor().redact(text) == hidden


def test_a_very_short_secret_does_not_blot_out_the_log() -> None:
    assert hiding("a").redact("a banana") == "a banana"


def test_a_secret_that_begins_with_another_is_hidden_whole() -> None:
    redactor = hiding("abcd")
    redactor.hide(Secret("abcd-efgh"))
    assert redactor.redact("abcd-efgh abcd") == "*** ***"


@pytest.mark.parametrize(("level", "prefix"), [(10, "<7>"), (20, "<6>"), (30, "<4>"), (40, "<3>"), (50, "<2>")])
def test_the_journal_gets_a_priority_in_front_of_every_line(level: int, prefix: str) -> None:
    text = JournalFormatter(Redactor()).format(record(level, "one\ntwo"))
    assert text.splitlines() == [f"{prefix}busyd.poll: one", f"{prefix}two"]


def test_an_empty_message_is_a_line_too() -> None:
    formatter = JournalFormatter(Redactor())
    formatter._style._fmt = "%(message)s"
    assert formatter.format(record(logging.INFO, "")) == "<6>"


def test_a_terminal_gets_time_in_utc_and_level() -> None:
    one = record(logging.WARNING, "polled %s: %d changed", "anna", 3)
    one.created = 0.0
    assert PlainFormatter(Redactor()).format(one) == "1970-01-01T00:00:00Z WARNING busyd.poll: polled anna: 3 changed"


def test_the_journal_is_recognised_by_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not is_journal(stream, {})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


@pytest.mark.parametrize(
    ("verbose", "variable", "seen"),
    [
        (False, "", ["i", "w"]),
        (True, "", ["d", "i", "w"]),
        (False, "warning", ["w"]),
        (False, "debug", ["d", "i", "w"]),
        (False, "warning, busyd.sync=debug", ["d", "i", "w"]),
        (False, "info,busyd.sync=ERROR", []),
    ],
)
def test_levels_come_from_the_option_or_the_variable(verbose: bool, variable: str, seen: list[str]) -> None:
    stream = io.StringIO()
    set_up_logging(verbose=verbose, environment={"BUSYD_LOG": variable}, stream=stream)
    logger = logging.getLogger("busyd.sync")
    logger.debug("d")
    logger.info("i")
    logger.warning("w")
    assert [line[-1] for line in stream.getvalue().splitlines()] == seen


def test_a_level_that_is_none_is_an_error_in_words() -> None:
    with pytest.raises(Misconfigured, match="BUSYD_LOG: 'loud' is not a log level"):
        set_up_logging(verbose=False, environment={"BUSYD_LOG": "loud"})


@pytest.mark.parametrize("formatter", [PlainFormatter, JournalFormatter])
def test_a_name_from_a_server_forges_no_line_and_controls_no_terminal(formatter: type[logging.Formatter]) -> None:
    name = "Work\n<3>busyd: all is well\r\x1b[2J\x85\u2028\x07"
    for message, argument in (("%s changed", name), ("%s", ValueError(name)), ("%d of %s", (1, name))):
        arguments = argument if isinstance(argument, tuple) else (argument,)
        record = logging.LogRecord("busyd.test", logging.WARNING, "", 1, message, arguments, None)
        text = formatter().format(record)
        assert len(text.splitlines()) == 1
        assert text.isprintable()
        assert "Work\\n<3>busyd: all is well\\r\\x1b[2J" in text


def test_the_lines_of_a_table_and_of_a_traceback_stay() -> None:
    class Table:
        def __str__(self) -> str:
            return "one\ntwo\x1b"

    record = logging.LogRecord("busyd.test", logging.INFO, "", 1, "decided\n%s", (Table(),), None)
    assert PlainFormatter().format(record).splitlines()[1:] == ["one", "two\\x1b"]
    try:
        raise ValueError("a\x1bb")
    except ValueError:
        record.exc_info = sys.exc_info()
    lines = PlainFormatter().format(record).splitlines()
    assert lines[-1] == "ValueError: a\\x1bb" and len(lines) > 4


def test_json_is_one_object_in_a_line_with_what_it_is_about_and_no_secret() -> None:
    try:
        message = f"bad {CANARY}"
        raise ValueError(message)
    except ValueError:
        record = logging.makeLogRecord(
            {"name": "busyd.x", "levelname": "WARNING", "levelno": 30, "msg": "%s:\n%s", "args": ("anna", CANARY),
             "exc_info": sys.exc_info(), "connection": "anna", "code": "auth.refused", "created": 0.5}
        )  # fmt: skip
    line = JsonFormatter(hiding(CANARY)).format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert CANARY not in line
    assert (told["time"], told["level"], told["logger"]) == ("1970-01-01T00:00:00.500Z", "warning", "busyd.x")
    assert (told["message"], told["connection"], told["code"]) == ("anna:\n***", "anna", "auth.refused")
    assert "ValueError: bad ***" in told["traceback"]
