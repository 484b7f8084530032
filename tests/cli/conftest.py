"""A configuration of one's own, commands run in this process, and a stand-in for the daemon."""

import fcntl
import json
import logging
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from busyd.cli.main import run_command_line
from busyd.running import LOCK_FILE

CONFIG = """
listen: {listen}
connections:
  anna: {{username: anna@icloud.com, password: {{credential: anna}}}}
  team: {{kind: caldav, url: 'https://dav.example.org/', username: team, password: {{env: TEAM_PASSWORD}}}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, conflicts: ['anna/*']}}
"""


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a configuration whose daemon does not run; nothing of the real environment counts."""
    for name in ("BUSYD_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY",
                 "BUSYD_KEY_FILE", "BUSYD_LOG"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEAM_PASSWORD", "team-canary")
    write_config(tmp_path, f"unix:{tmp_path}/no-daemon.sock")
    return tmp_path


def write_config(home: Path, listen: str) -> Path:
    """Write the configuration of these tests, for a daemon that listens there."""
    path = home / ".config" / "busyd" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONFIG.format(listen=listen))
    return path


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Busyd = Callable[..., Ran]


@pytest.fixture
def busyd(capsys: pytest.CaptureFixture[str]) -> Busyd:
    """Run `busyd WORD...` in this process."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        status = run_command_line(words)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@dataclass
class Daemon:
    """Answers what it was told to, and remembers what it was asked."""

    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, target and Authorization."""
    bodies: list[bytes] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    """Idempotency-Key."""
    is_dying: bool = False
    """Whether it ends connections without an answer."""

    def answer(self, path: str, content: Any, *, status: int = 200) -> None:
        self.answers[path] = (status, content if isinstance(content, bytes) else json.dumps(content).encode())


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _handler(daemon: Daemon) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            daemon.asked.append((self.command, self.path, self.headers["Authorization"]))
            daemon.keys.append(self.headers["Idempotency-Key"])
            daemon.bodies.append(self.rfile.read(int(self.headers["Content-Length"] or 0)))
            if daemon.is_dying:
                return
            status, body = daemon.answers.get(self.path.partition("?")[0], (404, b""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_DELETE = do_GET  # noqa: N815 - the name is the standard library's
        do_PATCH = do_GET  # noqa: N815 - the name is the standard library's
        do_POST = do_GET  # noqa: N815 - the name is the standard library's

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

        def address_string(self) -> str:
            return "unix"

    return Handler


@pytest.fixture
def state_in_use(home: Path) -> Iterator[Path]:
    """The state directory, as a running daemon has it."""
    state = home / ".local" / "state" / "busyd"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield state


@pytest.fixture
def daemon(foreign_daemon: Daemon, state_in_use: Path) -> Daemon:
    """A daemon that listens where the configuration says, and works on the state directory."""
    assert state_in_use.is_dir()
    return foreign_daemon


@pytest.fixture(params=["tcp", "unix"])
def foreign_daemon(request: pytest.FixtureRequest, home: Path) -> Iterator[Daemon]:
    """The same on other state than this home's; everything is tried over TCP and over a unix socket."""
    scripted = Daemon()
    server: socketserver.BaseServer
    if request.param == "tcp":
        tcp = ThreadingHTTPServer(("127.0.0.1", 0), _handler(scripted))
        listen, server = f"127.0.0.1:{tcp.server_address[1]}", tcp
    else:
        listen = f"unix:{home}/s"
        server = _UnixServer(str(home / "s"), _handler(scripted))
    write_config(home, listen)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    server.shutdown()
    thread.join()
    server.server_close()
