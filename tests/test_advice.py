"""From an error to what a person should do: every way to fail has words of its own."""

import pytest
from msgspec.structs import replace

from busyd.advice.diagnosis import Diagnosis, Outcome, Surroundings, describe_clock, diagnose
from busyd.connection import ICLOUD_URL, Connection, ConnectionKind
from busyd.dav.errors import Forbidden, LoginRefused, MalformedResponse, NotFound, ServerFault, TooManyRequests
from busyd.errors import RemoteError, UserError
from busyd.period import Instant
from busyd.remote.certificate import Certificate
from busyd.remote.errors import (
    AnswerTooLarge,
    FeedRefused,
    MissingPassword,
    PrivateAddress,
    Trouble,
    Unreachable,
    UnsafeRedirect,
)

HOST = "caldav.icloud.com"
ICLOUD = Connection("anna", ConnectionKind.ICLOUD, ICLOUD_URL, "anna@example.com")
OTHER = Connection("team", ConnectionKind.CALDAV, "https://dav.example.org/", "team")
FEED = Connection("holidays", ConnectionKind.ICS, "https://example.org/holidays.ics")
NOTHING = Surroundings(now=Instant(1_795_000_000))


def told(error: RemoteError | UserError, connection: Connection = ICLOUD, **seen: object) -> Diagnosis:
    return diagnose(error, connection, seen=replace(NOTHING, **seen))


def test_a_refused_apple_id_gets_every_cause_in_order() -> None:
    found = told(LoginRefused(HOST))
    assert (found.code, found.outcome) == ("auth.apple.rejected", Outcome.LOGIN)
    order = [
        "typing mistakes",
        "the Apple Account password itself never works",
        "two-factor authentication is off",
        "revokes all",
        "alias",
        "Calendars must be on",
    ]
    assert len(found.steps) == len(order)
    assert all(word in step for word, step in zip(order, found.steps, strict=True))


@pytest.mark.parametrize("username", ["anna@icloud.com", "anna@me.com", "Anna@MAC.com "])
def test_an_address_that_may_be_an_alias_puts_that_cause_second(username: str) -> None:
    assert "alias" in told(LoginRefused(HOST), replace(ICLOUD, username=username)).steps[1]


def test_a_password_of_another_shape_is_taken_for_the_ordinary_one() -> None:
    found = told(LoginRefused(HOST), app_specific=False)
    assert found.code == "auth.apple.ordinary-password"
    assert "App-Specific Passwords" in found.steps[0]


def test_a_password_that_used_to_work_was_revoked() -> None:
    found = told(LoginRefused(HOST), worked_before=True)
    assert found.code == "auth.apple.revoked"
    assert "changing or resetting the Apple Account password" in found.steps[0]
    assert "busyd credential set anna" in found.steps[1]


def test_the_menu_words_are_those_of_apple() -> None:
    steps = " ".join(told(LoginRefused(HOST)).steps)
    assert "account.apple.com > Sign-In and Security > App-Specific Passwords" in steps
    assert "Settings > your name > Sign-In & Security > Two-Factor Authentication" in steps


def test_another_server_is_not_explained_by_apples_menus() -> None:
    found = told(LoginRefused("dav.example.org"), OTHER)
    assert (found.code, found.outcome) == ("auth.refused", Outcome.LOGIN)
    assert "pple" not in " ".join(found.steps)


def test_a_password_that_is_not_there_is_no_refusal_by_the_server() -> None:
    found = told(MissingPassword(HOST))
    assert found.code == "auth.no-password"


@pytest.mark.parametrize("trouble", [trouble for trouble in Trouble if trouble is not Trouble.TLS])
def test_every_trouble_of_the_network_has_a_message_and_steps_of_its_own(trouble: Trouble) -> None:
    found = told(Unreachable(HOST, trouble))
    others = [told(Unreachable(HOST, other)) for other in Trouble if other not in (trouble, Trouble.TLS)]
    assert found.outcome is Outcome.UNAVAILABLE
    assert HOST in found.message
    assert found.steps
    assert all((found.code, found.message, found.steps[0]) != (one.code, one.message, one.steps[0]) for one in others)
    assert len({found.code, *(one.code for one in others)}) == len(others) + 1


def test_a_proxy_of_the_machine_is_named_first_when_nothing_gets_through() -> None:
    found = told(Unreachable(HOST, Trouble.TIMEOUT), proxy_variable="HTTPS_PROXY")
    assert found.steps[0].startswith("HTTPS_PROXY names a proxy, but busyd connects directly")


def test_a_url_of_ones_own_may_be_mistyped() -> None:
    assert "typing mistakes" in told(Unreachable("dav.example.org", Trouble.DNS), OTHER).steps[0]
    assert "typing mistakes" not in " ".join(told(Unreachable(HOST, Trouble.DNS)).steps)


def test_a_certificate_from_the_future_means_a_wrong_clock() -> None:
    found = told(Unreachable(HOST, Trouble.TLS, detail="certificate is not yet valid"), skew=-90_000)
    assert found.code == "tls.clock"
    assert found.steps == (
        "set the clock (`timedatectl set-ntp true`): this machine's clock is 25 h 0 min behind the server's",
    )


def test_an_expired_certificate_means_a_wrong_clock_when_the_server_says_so() -> None:
    error = Unreachable(HOST, Trouble.TLS, detail="certificate has expired")
    assert told(error, skew=400 * 86400).code == "tls.clock"
    shown = Certificate(Instant(1_700_000_000), Instant(1_790_000_000), "Apple Inc.")
    found = told(error, certificate=shown)
    assert (found.code, found.message) == ("tls.expired", f"the certificate of {HOST} expired on 2026-09-21 14:13 UTC")
    assert "check this machine's clock, which shows 2026-11-18" in found.steps[0]


def test_an_untrusted_certificate_tells_who_issued_it() -> None:
    shown = Certificate(Instant(0), Instant(2_000_000_000), "Prying Proxies Ltd")
    found = told(Unreachable(HOST, Trouble.TLS, detail="self-signed certificate"), certificate=shown)
    assert found.code == "tls.untrusted"
    assert found.message.endswith("(self-signed certificate); the certificate was issued by Prying Proxies Ltd")
    assert "sign in to the network" in found.steps[0]
    own = told(Unreachable("dav.example.org", Trouble.TLS), OTHER)
    assert "certificate of your own" in own.steps[0]


def test_a_web_page_or_a_redirect_in_icloud_s_place_is_a_captive_portal() -> None:
    page = MalformedResponse(HOST, "unexpected status 200", status=200)
    assert told(page, web_page=True).code == "network.captive-portal"
    assert told(UnsafeRedirect(HOST, "portal.example")).code == "network.captive-portal"
    assert told(page).code == "server.malformed"


def test_a_web_page_at_another_server_is_a_wrong_url() -> None:
    page = MalformedResponse("dav.example.org", "unexpected status 200", status=200)
    found = told(page, OTHER, web_page=True)
    assert (found.code, found.outcome) == ("server.not-caldav", Outcome.CONFIGURATION)
    assert "not a calendar feed" in told(page, FEED).message


@pytest.mark.parametrize(
    ("error", "connection", "code", "outcome"),
    [
        (TooManyRequests(HOST, status=503, retry_after="1"), ICLOUD, "server.throttled", Outcome.LATER),
        (ServerFault(HOST, 500), ICLOUD, "server.fault", Outcome.UNAVAILABLE),
        (ServerFault("dav.example.org", 405), OTHER, "server.refused", Outcome.CONFIGURATION),
        (NotFound(HOST), ICLOUD, "server.refused", Outcome.UNAVAILABLE),
        (NotFound("dav.example.org"), OTHER, "server.refused", Outcome.CONFIGURATION),
        (Forbidden(HOST), ICLOUD, "server.refused", Outcome.UNAVAILABLE),
        (PrivateAddress(HOST), ICLOUD, "network.private-address", Outcome.UNAVAILABLE),
        (PrivateAddress("example.org"), FEED, "network.private-address", Outcome.CONFIGURATION),
        (UnsafeRedirect("dav.example.org", "x.example"), OTHER, "server.redirect", Outcome.CONFIGURATION),
        (FeedRefused("example.org", 401), FEED, "feed.refused", Outcome.LOGIN),
        (FeedRefused("example.org", 404), FEED, "feed.refused", Outcome.UNAVAILABLE),
        (AnswerTooLarge(HOST, 64 * 1024**2), ICLOUD, "server.unexpected", Outcome.UNAVAILABLE),
        (UserError("its url is none", fix="write it"), OTHER, "configuration", Outcome.CONFIGURATION),
    ],
)  # fmt: skip
def test_every_other_failure_has_a_code_and_an_outcome(
    error: RemoteError | UserError, connection: Connection, code: str, outcome: Outcome
) -> None:
    found = told(error, connection)
    assert (found.code, found.outcome) == (code, outcome)
    assert found.message


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        (None, ""),
        (300, ""),
        (-300, ""),
        (3661, "this machine's clock is 1 h 1 min ahead of the server's"),
        (-5 * 86400, "this machine's clock is 5 days behind the server's"),
    ],
)
def test_a_clock_is_worth_a_word_from_five_minutes_on(skew: int | None, words: str) -> None:
    assert describe_clock(skew) == words
