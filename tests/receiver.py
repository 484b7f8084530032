"""A receiver of webhooks, as a user's program would be: it keeps what it is sent, and answers what a test wants."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of its signatures is the one that the official library makes of it, whenever it was sent."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), tz=UTC)
        expected = Webhook(secret).sign(self.id, at, self.body.decode())
        return expected in self.headers["webhook-signature"].split(" ")

    def verify(self, secret: str) -> Any:
        """The payload, if the official library takes it as genuine and as sent just now."""
        return Webhook(secret).verify(self.body, dict(self.headers))


Answer = int | tuple[int, Mapping[str, str]]


@dataclass
class Receiver:
    """`answer` gives the status of each request, and headers if need be; whatever it is, the request is kept."""

    url: str
    answer: Callable[[Received], Answer] = lambda _: 204
    received: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, received: Received) -> Answer:
        answer = self.answer(received)
        with self.changed:
            self.received.append(received)
            self.changed.notify_all()
        return answer

    def wait_for(self, count: int, *, seconds: float = 60) -> list[Received]:
        """Wait until so many requests have come, and return them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, seconds), self.received
            return list(self.received)


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.take(
                Received(self.path, {key.lower(): value for key, value in self.headers.items()}, body)
            )
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hooks/busyd?key=1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
