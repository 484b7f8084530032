"""Every way in which connecting fails has its own message, its own status, and saves nothing."""

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cli.person import PASSWORD, Ended, Person, closed_port
from tests.icloud import SimulatedIcloud

LOGIN = f"anna@example.com\n{PASSWORD}\n"
NOW = datetime.now(UTC)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    return Person(home)


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        for user in ("anna@example.com", "anna@icloud.com"):
            running.add_account(user).add_default_calendars()
        yield running


def fails(person: Person, ended: Ended, status: int, *words: str) -> None:
    """It failed like this, said so, and left nothing."""
    assert ended.status == status, ended.err
    assert all(word in ended.err for word in words), ended.err
    assert PASSWORD not in ended.out + ended.err
    assert person.files == []


# The login.


def test_a_refused_login_lists_the_causes_and_is_tried_twice(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed="anna@example.com\nwxyz-wxyz-wxyz-wxyz\n")
    causes = (
        "1. check the password for typing mistakes",
        "two-factor authentication is off",
        "revokes all app-specific passwords",
    )
    fails(
        person, ended, 77, "refused this Apple ID", *causes, "an alias of the mailbox is refused", "nothing was saved"
    )
    assert "wxyz" not in ended.out + ended.err
    assert len(icloud.log.requests()) == 2


def test_an_address_of_apples_own_may_be_an_alias(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed="anna@icloud.com\nwxyz-wxyz-wxyz-wxyz\n")
    fails(person, ended, 77, "2. the Apple ID is the address you sign in with at account.apple.com")


def test_a_lone_refusal_of_a_good_password_is_forgiven(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@example.com").knobs.fail_next(401)
    assert person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN).status == 0


def test_an_ordinary_password_is_not_sent(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed="anna@example.com\nHunter2-is-mine\n")
    fails(person, ended, 77, "does not look like an app-specific password", "It has not been sent",
          "account.apple.com > Sign-In and Security > App-Specific Passwords")  # fmt: skip
    assert icloud.log.requests() == []
    assert "Hunter2" not in ended.out + ended.err


def test_an_ordinary_password_is_sent_to_those_who_insist(person: Person, icloud: SimulatedIcloud) -> None:
    typed = "anna@example.com\nHunter2-is-mine\n"
    ended = person.run("setup", "--url", icloud.bootstrap_url, "--any-password", typed=typed)
    fails(
        person,
        ended,
        77,
        "which is not an app-specific one",
        "1. the Apple Account password itself never works",
    )
    assert len(icloud.log.requests()) == 2


def test_those_who_insist_find_it_in_the_file(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@example.com").password = "Hunter2-is-mine"
    words = ("--url", icloud.bootstrap_url, "--any-password", "--yes", "--username", "anna@example.com")
    ended = person.run("setup", *words, "--password-stdin", typed="Hunter2-is-mine\n")
    assert ended.status == 0, ended.err
    assert "    allow_password_shape: any\n" in next(person.config.parent.rglob("*.yaml")).read_text()
    assert person.run("check", "--online").status == 0


def test_no_password_at_all(person: Person, icloud: SimulatedIcloud) -> None:
    fails(
        person,
        person.run("setup", "--url", icloud.bootstrap_url, typed="anna@example.com\n"),
        1,
        "no password was given",
    )


@pytest.mark.parametrize("number", ["+49 170 1234567", "01701234567", "(555) 123-4567"])
def test_a_phone_number_is_refused_in_words(person: Person, number: str) -> None:
    fails(person, person.run("setup", typed=f"{number}\n"), 64, "this is a phone number", "Email & Phone Numbers")


@pytest.mark.parametrize("name", ["anna", "anna@", "anna @icloud.com", "anna:x@icloud.com"])
def test_what_is_no_address_is_no_apple_id(person: Person, name: str) -> None:
    fails(person, person.run("setup", "--username", name), 64, "an Apple ID is an e-mail address")


def test_another_servers_refusal_is_not_explained_by_apples_menus(person: Person, icloud: SimulatedIcloud) -> None:
    typed = "anna@example.com\nwrong\n"
    ended = person.run("setup", "--kind", "caldav", "--url", icloud.bootstrap_url, typed=typed)
    fails(person, ended, 77, "refused the user name or the password", "check the user name")
    assert "pple" not in ended.err


@pytest.mark.parametrize(("words", "status"), [((), 64), (("--yes",), 64)])
def test_a_password_does_not_cross_a_network_unencrypted(person: Person, words: tuple[str, ...], status: int) -> None:
    given = ("--kind", "caldav", "--url", "http://dav.example.org/", "--username", "anna")
    ended = person.run("setup", *given, *words, typed="\n")
    fails(
        person,
        ended,
        status,
        "would cross the network unencrypted",
        "the password was not sent",
        "use an https address",
    )


# The network.


def test_a_name_that_does_not_resolve(person: Person) -> None:
    ended = person.run("setup", "--kind", "caldav", "--url", "https://nowhere.invalid/", typed="anna\nsecret\n")
    fails(
        person,
        ended,
        69,
        "the name nowhere.invalid could not be resolved",
        "check the url and its port for typing mistakes",
    )


def test_a_server_that_is_down_and_a_proxy_that_is_not_used(person: Person) -> None:
    person.environment["HTTPS_PROXY"] = "http://proxy.example:3128"
    with closed_port() as port:
        ended = person.run("setup", "--url", f"http://127.0.0.1:{port}/", typed=LOGIN)
    fails(person, ended, 69, "refused the connection", "1. HTTPS_PROXY names a proxy, but busyd connects directly")


@contextmanager
def answering(status: int, body: bytes = b"", *, clock_ahead: timedelta = timedelta(), **headers: str) -> Iterator[str]:
    """A server that gives every request the same answer; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            del timestamp
            return super().date_time_string((datetime.now(UTC) + clock_ahead).timestamp())

        do_PROPFIND = do_GET = do_HEAD = answer  # noqa: N815 - the names are the standard library's

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [407, 511])
def test_a_proxy_or_network_that_wants_its_own_login(person: Person, status: int) -> None:
    with answering(status) as url:
        ended = person.run("setup", "--url", url, typed=LOGIN)
    fails(person, ended, 69, "a proxy or the login page of a network answered", "sign in to the network first")


def test_a_captive_portal_that_redirects(person: Person) -> None:
    with answering(302, Location="http://portal.example/login") as url:
        ended = person.run("setup", "--url", url, typed=LOGIN)
    fails(person, ended, 69, "most likely the login page of a network", "open a web page in a browser")


def test_a_captive_portal_that_answers_itself(person: Person) -> None:
    with answering(200, b"<!DOCTYPE html><html><body>Welcome to Hotel Example", Content_Type="text/html") as url:
        ended = person.run("setup", "--url", url, typed=LOGIN)
    fails(person, ended, 69, "most likely the login page of a network")
    assert "Hotel" not in ended.err


def test_a_web_page_is_no_caldav_server(person: Person) -> None:
    with answering(200, b"<html><body>It works!") as url:
        ended = person.run("setup", "--kind", "caldav", "--url", url, typed="anna\nsecret\n")
    fails(person, ended, 78, "is not a CalDAV server", "not of its web page")


def test_a_web_page_is_no_feed(person: Person) -> None:
    with answering(200, b"<html><body>It works!") as url:
        ended = person.run("setup", "--kind", "ics", "--url", url, "--yes")
    fails(person, ended, 78, "is not a calendar feed")


def test_a_feed_that_is_gone(person: Person) -> None:
    with answering(404) as url:
        fails(person, person.run("setup", "--kind", "ics", "--url", url, "--yes"), 69, "has no such feed")


def test_a_server_that_asks_busyd_to_slow_down(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@example.com").knobs.fail_next(503, retry_after=1, times=None)
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    fails(person, ended, 75, "asked busyd to slow down", "wait a quarter of an hour")


def test_a_server_with_a_fault_of_its_own(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@example.com").knobs.fail_next(500, times=None)
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    fails(person, ended, 69, "reported an internal error (status 500)", "www.apple.com/support/systemstatus")


def test_a_connection_that_always_breaks(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@example.com").knobs.play("reset", times=None)
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    fails(person, ended, 69, "was lost", "something in between cuts it")


def test_a_shard_of_somebody_else_never_sees_the_password(person: Person, icloud: SimulatedIcloud) -> None:
    knobs = icloud.account("anna@example.com").knobs
    knobs.bootstrap_redirect, knobs.redirect_to = 301, "other-domain"
    fails(person, person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN), 69, "answered instead of")
    assert icloud.log.requests(origin="foreign") == []


def test_icloud_is_nowhere_else(person: Person) -> None:
    ended = person.run("setup", "--url", "https://icloud.example.org/", typed=LOGIN)
    fails(person, ended, 1, "icloud.example.org is not iCloud", "set kind: caldav for another server")


# Certificates and clocks.


def certificate(folder: Path, starts: datetime, *, ends: datetime) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Prying Proxies Ltd")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(starts).not_valid_after(ends).add_extension(address, False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(pem + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def over_tls(person: Person, path: Path, *, trusted: bool) -> Ended:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if trusted:
        person.environment["SSL_CERT_FILE"] = str(path)
    with SimulatedIcloud.in_thread(tls=context) as icloud:
        icloud.add_account("anna@example.com").add_default_calendars()
        ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
        assert all(entry.account is None for entry in icloud.log.entries) or ended.status == 0
    return ended


def test_a_good_certificate_works(person: Person, tmp_path: Path) -> None:
    path = certificate(tmp_path, NOW - timedelta(days=1), ends=NOW + timedelta(days=1))
    assert over_tls(person, path, trusted=True).status == 0


def test_a_certificate_nobody_trusts_gives_its_issuer_away(person: Person, tmp_path: Path) -> None:
    path = certificate(tmp_path, NOW - timedelta(days=1), ends=NOW + timedelta(days=1))
    ended = over_tls(person, path, trusted=False)
    fails(person, ended, 69, "cannot prove that it is that server", "was issued by Prying Proxies Ltd",
          "a company proxy may intercept encrypted connections", "nothing was sent to it")  # fmt: skip


def test_a_certificate_of_tomorrow_means_that_this_clock_is_wrong(person: Person, tmp_path: Path) -> None:
    path = certificate(tmp_path, NOW + timedelta(days=1), ends=NOW + timedelta(days=9))
    fails(
        person,
        over_tls(person, path, trusted=True),
        69,
        "is not valid at the time this machine's clock shows",
        "timedatectl",
    )


def test_a_certificate_of_yesterday_has_expired(person: Person, tmp_path: Path) -> None:
    path = certificate(tmp_path, NOW - timedelta(days=9), ends=NOW - timedelta(days=1))
    fails(person, over_tls(person, path, trusted=True), 69, "expired on", "the server's operator must renew it")


CALENDAR = b"""<?xml version="1.0"?>
<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:response><D:href>/</D:href><D:propstat><D:prop>
<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>Only</D:displayname></D:prop>
<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"""


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(days=3, hours=1), "Warning: this machine's clock is 3 days behind the server's. Correct it"),
        (
            timedelta(hours=-2, minutes=-1, seconds=-30),
            "Warning: this machine's clock is 2 h 1 min ahead of the server's",
        ),
    ],
)
def test_a_wrong_clock_is_told_even_when_the_login_works(person: Person, ahead: timedelta, words: str) -> None:
    with answering(207, CALENDAR, clock_ahead=ahead) as url:
        ended = person.run("setup", "--kind", "caldav", "--url", url, typed="anna\nsecret\n")
    assert ended.status == 0
    assert words in ended.err
