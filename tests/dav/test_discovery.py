"""From an address and a login to the calendar home."""

import pytest

from busyd.dav.discovery import discover_account
from busyd.dav.errors import (
    Forbidden,
    LoginRefused,
    LoginUnsupported,
    MalformedResponse,
    NotFound,
    ServerFault,
)
from busyd.dav.exchange import DavResponse
from busyd.errors import RemoteError
from tests.dav.script import answer, exchange, member, multistatus, status
from tests.wire.recording import recording

PRINCIPAL = (
    '<current-user-principal xmlns="DAV:"><href xmlns="DAV:">/300000001/principal/</href></current-user-principal>'
)
HOME = (
    '<calendar-home-set xmlns="urn:ietf:params:xml:ns:caldav"><href xmlns="DAV:">'
    "https://p180-caldav.icloud.com:443/300000001/calendars/</href></calendar-home-set>"
    '<calendar-user-address-set xmlns="urn:ietf:params:xml:ns:caldav"><href xmlns="DAV:">/300000001/principal</href>'
    '<href xmlns="DAV:">urn:uuid:300000001</href><href xmlns="DAV:" preferred="1">mailto:someone@icloud.com</href>'
    '<href xmlns="DAV:">mailto:someone@example.org</href></calendar-user-address-set>'
)
HOME_BELOW = (
    '<calendar-home-set xmlns="urn:ietf:params:xml:ns:caldav"><href xmlns="DAV:">/dav/calendars/</href>'
    "</calendar-home-set>"
)
COLLECTION = "<resourcetype><collection/></resourcetype>"
CALENDAR = '<resourcetype><collection/><calendar xmlns="urn:ietf:params:xml:ns:caldav"/></resourcetype>'
ROOT = "https://caldav.icloud.com/"


def test_icloud_is_asked_twice_and_names_a_home_on_a_shard() -> None:
    account, asked = exchange(
        discover_account(ROOT),
        multistatus(member("/", PRINCIPAL)),
        multistatus(member("/300000001/principal/", HOME)),
    )
    assert account.homes[0] == "https://p180-caldav.icloud.com/300000001/calendars/"
    assert account.principal == "/300000001/principal/"
    assert account.addresses[0] == "mailto:someone@icloud.com"
    assert len(account.addresses) == 4
    assert [(one.method, one.target, one.depth) for one in asked] == [
        ("PROPFIND", ROOT, "0"),
        ("PROPFIND", "https://caldav.icloud.com/300000001/principal/", "0"),
    ]


def test_a_principal_that_answers_under_another_name_is_believed() -> None:
    """QUIRK(icloud): the principal may answer as `/principal/`."""
    account, _ = exchange(
        discover_account(ROOT), multistatus(member("/", PRINCIPAL)), multistatus(member("/principal/", HOME))
    )
    assert account.homes[0] == "https://p180-caldav.icloud.com/300000001/calendars/"


def test_a_home_named_by_its_path_is_on_the_host_that_answered_after_redirects() -> None:
    principal, home = recording("03-principal-root").response, recording("04-home-set").response
    account, asked = exchange(discover_account("http://127.0.0.1:8008/"), principal, home)
    assert account.homes[0] == "http://127.0.0.1:8008/calendars/__uids__/A0000000-0000-0000-0000-000000000001/"
    assert account.addresses == (
        "mailto:alice@example.com",
        "urn:uuid:A0000000-0000-0000-0000-000000000001",
        "urn:x-uid:A0000000-0000-0000-0000-000000000001",
    )
    assert asked[1].target.startswith("http://127.0.0.1:8008/principals/__uids__/")


def test_a_server_that_answers_unauthenticated_requests_is_not_taken_for_a_login() -> None:
    with pytest.raises(LoginRefused, match="unauthenticated"):
        exchange(discover_account("http://127.0.0.1:8008/"), recording("03-principal-root-anon").response)


@pytest.mark.parametrize("name", ["05-wrong-password", "05-unknown-user", "05-no-auth", "05-bearer-auth"])
def test_a_refused_login_is_one_with_or_without_a_challenge(name: str) -> None:
    with pytest.raises(LoginRefused):
        exchange(discover_account("http://127.0.0.1:8008/"), recording(name).response)


@pytest.mark.parametrize("refusal", [403, 404, 405, 501])
def test_a_root_that_knows_no_caldav_leads_to_the_well_known_address(refusal: int) -> None:
    account, asked = exchange(
        discover_account("https://example.org/"),
        answer(refusal),
        answer(207, multistatus(member("/dav/", PRINCIPAL)).body, url="https://example.org/dav/"),
        multistatus(member("/300000001/principal/", HOME)),
    )
    assert asked[1].target == "https://example.org/.well-known/caldav"
    assert asked[2].target == "https://example.org/300000001/principal/"
    assert account.principal == "/300000001/principal/"


def test_an_unknown_path_told_inside_a_207_is_unknown_all_the_same() -> None:
    """QUIRK(xandikos): an unknown path gets a 207 that contains nothing but a 404."""
    unknown = multistatus(status("/", "HTTP/1.1 404 Not Found"))
    account, asked = exchange(
        discover_account("https://example.org/"),
        unknown,
        multistatus(member("/.well-known/caldav", PRINCIPAL)),
        multistatus(member("/300000001/principal/", HOME)),
    )
    assert (len(asked), account.principal) == (3, "/300000001/principal/")
    with pytest.raises(NotFound):
        exchange(discover_account("https://example.org/"), unknown, unknown)


def test_when_the_well_known_address_fails_too_the_error_is_that_of_the_address_given() -> None:
    with pytest.raises(NotFound):
        exchange(discover_account("https://example.org/"), answer(404), answer(501))
    with pytest.raises(Forbidden):
        exchange(discover_account("https://example.org/"), answer(403), answer(404))


@pytest.mark.parametrize("url", ["https://example.org/boss/work/", "https://example.org/x", "https://example.org/dav/"])
@pytest.mark.parametrize(("refusal", "error"), [(403, Forbidden), (404, NotFound), (410, NotFound)])
def test_what_is_not_there_never_becomes_the_logins_own_account(url: str, refusal: int, error: type) -> None:
    tries = 1 if url.endswith("/") else 2  # it may be a collection whose last slash was left out
    with pytest.raises(error):
        exchange(discover_account(url), *[answer(refusal)] * tries)
    told = multistatus(status(url.removeprefix("https://example.org"), f"HTTP/1.1 {refusal} Refused"))
    with pytest.raises(error):
        exchange(discover_account(url), *[told] * tries)


@pytest.mark.parametrize("refused", [answer(404), answer(405), answer(200, "<html>"), answer(207, "<html>")])
def test_a_collection_is_found_without_its_last_slash(refused: DavResponse) -> None:
    account, asked = exchange(
        discover_account("https://example.org/dav"),
        refused,
        multistatus(member("/dav/", PRINCIPAL.replace("/300000001/", "/dav/"))),
        multistatus(member("/dav/", COLLECTION)),
        multistatus(member("/dav/principal/", HOME_BELOW)),
    )
    assert asked[1].target == "https://example.org/dav/"
    assert account.homes == ("https://example.org/dav/calendars/",)


def test_a_calendar_that_lost_its_type_never_becomes_the_logins_own_account() -> None:
    """It is neither a calendar nor has it any in it, nor is it the root of the server."""
    plain = member("/boss/work/", PRINCIPAL + COLLECTION)
    with pytest.raises(MalformedResponse, match="no calendars at this address"):
        exchange(
            discover_account("https://caldav.icloud.com/boss/work/"),
            multistatus(plain),
            multistatus(plain),
            multistatus(member("/300000001/principal/", HOME)),
        )


def test_every_home_of_a_home_set_counts_in_the_order_of_the_server() -> None:
    homes = ("/cal/anna/", "https://p7-caldav.icloud.com:443/cal/team/", "/cal/anna/")
    hrefs = "".join(f'<href xmlns="DAV:">{href}</href>' for href in homes)
    home_set = f'<calendar-home-set xmlns="urn:ietf:params:xml:ns:caldav">{hrefs}</calendar-home-set>'
    account, _ = exchange(
        discover_account(ROOT),
        multistatus(member("/", PRINCIPAL)),
        multistatus(member("/300000001/principal/", home_set)),
    )
    assert account.homes == ("https://caldav.icloud.com/cal/anna/", "https://p7-caldav.icloud.com/cal/team/")


def test_the_address_of_somebody_elses_principal_is_their_home_set() -> None:
    boss = (
        '<resourcetype><principal/></resourcetype><calendar-home-set xmlns="urn:ietf:params:xml:ns:caldav">'
        '<href xmlns="DAV:">/calendars/boss/</href></calendar-home-set>'
    )
    account, asked = exchange(
        discover_account("https://caldav.icloud.com/principals/boss/"),
        multistatus(member("/principals/boss/", PRINCIPAL + boss)),
    )
    assert (account.homes, len(asked)) == (("https://caldav.icloud.com/calendars/boss/",), 1)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_home_of_somebody_else_is_that_home_although_the_login_has_its_own(slash: str) -> None:
    itself = member("/calendars/boss/", PRINCIPAL + COLLECTION)
    account, asked = exchange(
        discover_account("https://caldav.icloud.com/calendars/boss" + slash),
        multistatus(itself),
        multistatus(itself, member("/calendars/boss/work/", CALENDAR)),
        multistatus(member("/300000001/principal/", HOME)),
    )
    assert (account.homes, account.is_single) == (("https://caldav.icloud.com/calendars/boss/",), False)
    assert (account.addresses[0], [one.depth for one in asked]) == ("mailto:someone@icloud.com", ["0", "1", "0"])


def test_a_home_without_calendars_is_one_when_the_principal_says_so() -> None:
    itself = member("/300000001/calendars/", PRINCIPAL + COLLECTION)
    account, _ = exchange(
        discover_account("https://p180-caldav.icloud.com/300000001/calendars/"),
        multistatus(itself),
        multistatus(itself),
        multistatus(member("/300000001/principal/", HOME)),
    )
    assert account.homes == ("https://p180-caldav.icloud.com/300000001/calendars/",)


def test_the_root_of_caldav_on_a_server_stands_for_the_login_wherever_it_is() -> None:
    """Of Nextcloud, SOGo and DAViCal people write the address under which all of it lies."""
    own = (
        '<calendar-home-set xmlns="urn:ietf:params:xml:ns:caldav"><href xmlns="DAV:">/dav/calendars/anna/</href>'
        "</calendar-home-set>"
    )
    who = (
        '<current-user-principal xmlns="DAV:"><href xmlns="DAV:">/dav/principals/anna/</href></current-user-principal>'
    )
    itself = member("/dav/", who + COLLECTION)
    account, _ = exchange(
        discover_account("https://example.org/dav/"),
        multistatus(itself),
        multistatus(itself, member("/dav/principals/", COLLECTION), member("/dav/calendars/", COLLECTION)),
        multistatus(member("/dav/principals/anna/", own)),
    )
    assert account.homes == ("https://example.org/dav/calendars/anna/",)


def test_a_collection_that_others_lie_in_as_well_is_not_the_logins() -> None:
    plain = member("/300000001/", PRINCIPAL + COLLECTION)
    with pytest.raises(MalformedResponse, match="no calendars at this address"):
        exchange(
            discover_account("https://caldav.icloud.com/calendars/"),
            multistatus(plain),
            multistatus(plain),
            multistatus(member("/300000001/principal/", HOME)),
        )


def test_the_address_may_be_the_principal_itself() -> None:
    own = member("/300000001/principal/", PRINCIPAL + HOME)
    account, asked = exchange(discover_account("https://caldav.icloud.com/300000001/principal/"), multistatus(own))
    assert account.homes[0] == "https://p180-caldav.icloud.com/300000001/calendars/"
    assert len(asked) == 1


def test_the_address_may_be_a_calendar_which_is_then_the_only_one() -> None:
    calendar = multistatus(member("/u/work", PRINCIPAL + CALENDAR))
    account, _ = exchange(
        discover_account("https://example.org/u/work"), calendar, multistatus(member("/300000001/principal/", HOME))
    )
    assert (account.homes[0], account.is_single) == ("https://example.org/u/work/", True)
    assert "mailto:someone@icloud.com" in account.addresses


def test_the_address_may_be_a_collection_of_calendars_on_a_server_without_principals() -> None:
    account, _ = exchange(
        discover_account("https://example.org/u"), multistatus(member("/u/", COLLECTION, missing="<x/>"))
    )
    assert (account.homes[0], account.principal, account.is_single) == ("https://example.org/u/", "", False)


@pytest.mark.parametrize("body", ["<html>Sign in to the hotel</html>", "", '<multistatus xmlns="DAV:"/>'])
def test_a_page_or_an_empty_answer_is_no_account(body: str) -> None:
    pages = [answer(207, body)] * (1 if "multistatus" in body else 2)  # the well-known address is tried as well
    with pytest.raises(MalformedResponse):
        exchange(discover_account(ROOT), *pages)


@pytest.mark.parametrize("page", [answer(200, "<html>Welcome</html>"), answer(405), answer(302), answer(207, "<p>")])
def test_a_root_that_is_a_web_page_leads_to_the_well_known_address(page: DavResponse) -> None:
    account, asked = exchange(
        discover_account("https://example.org/"),
        page,
        multistatus(member("/dav/", PRINCIPAL)),
        multistatus(member("/300000001/principal/", HOME)),
    )
    assert asked[1].target == "https://example.org/.well-known/caldav"
    assert account.principal == "/300000001/principal/"


def test_where_no_login_is_offered_that_busyd_knows_the_password_is_not_called_wrong() -> None:
    challenge = 'Bearer realm="x, Basic y", Negotiate'
    with pytest.raises(LoginUnsupported, match="only bearer, negotiate"):
        exchange(discover_account("https://example.org/dav/"), answer(401, WWW_Authenticate=challenge))
    for known in ('Negotiate, Digest realm="a", nonce="b"', "Basic", 'Bearer, Basic realm="x"', ""):
        with pytest.raises(LoginRefused) as caught:
            exchange(discover_account("https://example.org/dav/"), answer(401, WWW_Authenticate=known))
        assert type(caught.value) is LoginRefused


def test_trouble_at_the_well_known_address_is_not_the_answer_of_the_address_given() -> None:
    """Its certificate, or where it redirects to, is not what a person has configured."""
    operation = discover_account("https://example.org/")
    next(operation)
    operation.send(answer(403, url="https://example.org/"))
    with pytest.raises(Forbidden):
        operation.throw(RemoteError("the certificate of another host was not accepted"))


@pytest.mark.parametrize("trouble", [500, 502, 503])
def test_a_server_in_trouble_is_not_asked_elsewhere(trouble: int) -> None:
    with pytest.raises(ServerFault):
        exchange(discover_account(ROOT), answer(trouble))


def test_a_principal_without_a_home_is_no_calendar_account() -> None:
    with pytest.raises(MalformedResponse, match="no calendar home"):
        exchange(
            discover_account(ROOT), multistatus(member("/", PRINCIPAL)), multistatus(member("/300000001/principal/"))
        )
