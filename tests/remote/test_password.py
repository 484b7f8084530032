"""No password goes to Apple but an app-specific one, wherever it comes from and whoever asks."""

import base64
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from busyd.connection import Connection, ConnectionKind, PasswordShape
from busyd.credentials import (
    FromCommand,
    FromCredential,
    FromEnvironment,
    FromFile,
    PasswordSource,
    Secret,
    read_password,
)
from busyd.credentials.store import CredentialStore
from busyd.dav.exchange import DavRequest
from busyd.remote.errors import NotAppSpecific
from busyd.remote.password import as_sent
from busyd.remote.transport import Transport
from tests.remote.stage import Request, StoppedClock, raw_server, reply

GOOD = "abcd-efgh-ijkl-mnop"
HYPHENS = "-‐‑‒–—―"  # noqa: RUF001


def shapes() -> Iterator[str]:
    """Passwords that people have, and everything near an app-specific one."""
    chance = random.Random(13)
    yield from (
        "Hunter2-is-mine",
        "correct horse battery staple",
        "pässwörd-pässwörd",
        "hunter2",
        "x",
        "0000",
        "🐦" * 16,
    )
    yield from (GOOD, GOOD.upper(), GOOD.replace("-", ""), GOOD.replace("-", " "), f"  {GOOD} ", "ab-cdefghijklmn-op")
    yield from (
        GOOD[:-1],
        GOOD + "q",
        GOOD[:-1] + "1",
        GOOD[:-1] + "\u017f",
        GOOD[:-1] + "\u212a",
        GOOD + ".",
        f'"{GOOD}"',
    )
    yield from (GOOD.replace("-", "_"), GOOD.replace("-", "\u200b"), GOOD.replace("a", "а"), "--------------------")  # noqa: RUF001
    for length in range(1, 60):
        for letters in (string.ascii_lowercase, string.ascii_letters + string.digits, string.printable[:94] + " "):
            yield "".join(chance.choices(letters, k=length)).strip() or "-"
    for hyphen in HYPHENS:
        yield GOOD.replace("-", hyphen)


def is_app_specific(text: str) -> bool:
    letters = [character for character in text if not character.isspace() and character not in HYPHENS]
    return len(letters) == 16 and all(letter in string.ascii_letters for letter in letters)


def in_store(folder: Path, text: str) -> PasswordSource:
    CredentialStore(folder, {}).set("anna", Secret(text))
    return FromCredential("anna")


def in_file(folder: Path, text: str) -> PasswordSource:
    (folder / "password").write_text(text)
    return FromFile(folder / "password")


def in_environment(folder: Path, text: str) -> PasswordSource:
    del folder, text
    return FromEnvironment("PASSWORD")


def from_command(folder: Path, text: str) -> PasswordSource:
    in_file(folder, text)
    return FromCommand(("cat", str(folder / "password")))


@pytest.mark.parametrize("place", [in_store, in_file, in_environment, from_command])
async def test_of_200_passwords_only_the_app_specific_ones_reach_apple(
    tmp_path: Path, place: Callable[[Path, str], PasswordSource]
) -> None:
    tried = list(dict.fromkeys(shapes()))
    assert len(tried) >= 200
    arrived: list[str] = []

    def note(request: Request) -> bytes:
        (authorization,) = request.all("Authorization")
        arrived.append(base64.b64decode(authorization.removeprefix("Basic ")).decode().removeprefix("anna:"))
        return reply(207)

    async with raw_server(note) as server:
        connection = Connection("anna", ConnectionKind.ICLOUD, server.url, "anna")
        for text in tried:
            source, environment = place(tmp_path, text), {"PASSWORD": text, "PATH": "/usr/bin:/bin"}
            before = len(arrived)
            transport = Transport(
                connection,
                lambda source=source, environment=environment: read_password(source, tmp_path, environment=environment),  # type: ignore[misc]
                clock=StoppedClock(),
            )
            try:
                await transport.send(DavRequest("PROPFIND", "/"))
            except NotAppSpecific as error:
                assert text not in str(error) or len(text) < 3
            await transport.close()
            assert bool(len(arrived) - before) == is_app_specific(text), text
        assert server.connections == len(arrived)
    assert {len(text) for text in arrived} == {19}
    assert all(text == text.lower() and text.count("-") == 3 for text in arrived)


def test_a_person_may_allow_other_shapes_and_other_servers_get_any() -> None:
    secret = Secret("Hunter2-is-mine")
    allowed = Connection(
        "anna", ConnectionKind.ICLOUD, "https://caldav.icloud.com/", "anna", allow_password_shape=PasswordShape.ANY
    )
    other = Connection("team", ConnectionKind.CALDAV, "https://dav.example.org/", "team")
    assert as_sent(allowed, secret) == as_sent(other, secret) == secret


@pytest.mark.parametrize(
    "url",
    [
        "https://caldav.icloud.com/",
        "https://p12-caldav.icloud.com:443/",
        "https://icloud.com",
        "https://CALDAV.iCloud.com./",
    ],
)
def test_apples_servers_are_known_whatever_the_kind_of_the_connection_says(url: str) -> None:
    connection = Connection("anna", ConnectionKind.CALDAV, url, "anna")
    with pytest.raises(NotAppSpecific):
        as_sent(connection, Secret("Hunter2-is-mine"))
    assert as_sent(connection, Secret("abcdefghijklmnop")) == Secret(GOOD)
