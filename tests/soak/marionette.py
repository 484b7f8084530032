"""Runs JavaScript inside a Thunderbird that was started with `--marionette`."""

import json
import socket
import time
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

_LONGEST_START: Final = 60.0
"""Seconds until the program listens."""
_LONGEST_SCRIPT: Final = 60.0


class Marionette:
    """One session: messages are JSON arrays, each after its length in bytes and a colon."""

    def __init__(self, port: int) -> None:
        self._socket = _connect(port)
        self._file = self._socket.makefile("rwb")
        self._numbers = count(1)
        self._read()  # its greeting
        self._command("WebDriver:NewSession", {})
        self._command("Marionette:SetContext", {"value": "chrome"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def run(self, function: str, *arguments: Any) -> Any:
        """What an async function returns for these arguments. Raises RuntimeError for what it throws."""
        script = (
            f"const done = arguments[arguments.length - 1];"
            f"({function})(...Array.from(arguments).slice(0, -1))"
            ".then(value => done({value}), error => done({error: String(error?.message ?? error)}));"
        )
        wanted = {"script": script, "args": list(arguments), "sandbox": "system", "scriptTimeout": 60_000}
        answer = self._command("WebDriver:ExecuteAsyncScript", wanted)["value"]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        message = json.dumps([0, next(self._numbers), name, parameters]).encode()
        self._file.write(b"%d:%b" % (len(message), message))
        self._file.flush()
        _, _, error, result = self._read()
        if error is not None:
            raise RuntimeError(error["message"])
        return result

    def _read(self) -> Any:
        length = b""
        while (byte := self._file.read(1)) != b":":
            if not byte:
                message = "Thunderbird has ended"
                raise RuntimeError(message)
            length += byte
        return json.loads(self._file.read(int(length)))


def _connect(port: int) -> socket.socket:
    began = time.monotonic()
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_SCRIPT + 10)
        except OSError:
            if time.monotonic() - began > _LONGEST_START:
                raise
            time.sleep(0.2)
