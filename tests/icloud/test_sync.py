"""Items 25 to 31: sync-collection, its tokens, and how it refuses them."""

from urllib.parse import quote

import pytest

from tests.icloud import Account, Calendar
from tests.icloud.conftest import meeting
from tests.icloud.raw_client import RawClient
from tests.icloud.xml import CALDAV, DAV, clark

WORK = "/300000001/calendars/work/"
ETAG = clark(DAV, "getetag")


@pytest.fixture(autouse=True)
def three_events(work: Calendar) -> None:
    for number in range(3):
        work.put(f"e{number}.ics", meeting(f"E{number}"))


async def test_the_collection_may_spell_itself_without_its_slash(dav: RawClient, anna: Account) -> None:
    anna.knobs.self_without_slash = True
    assert (await dav.sync(WORK)).hrefs[0] == WORK.rstrip("/")


@pytest.mark.parametrize("depth", ["0", "1"])
async def test_an_empty_token_gets_the_collection_itself_and_every_member(dav: RawClient, depth: str) -> None:
    reply = await dav.sync(WORK, depth=depth)
    assert reply.hrefs == [WORK, *(f"{WORK}e{number}.ics" for number in range(3))]
    assert all(ETAG in reply.props(href) for href in reply.hrefs)
    assert reply.root[-1].tag == clark(DAV, "sync-token")


async def test_the_current_token_gets_no_response_at_all(dav: RawClient) -> None:
    token = (await dav.sync(WORK)).sync_token
    reply = await dav.sync(WORK, token)
    assert (reply.status, reply.hrefs, reply.sync_token) == (207, [], token)


async def test_changes_have_an_etag_and_deletions_a_response_level_404(dav: RawClient, work: Calendar) -> None:
    token = (await dav.sync(WORK)).sync_token
    changed = work.put("e0.ics", meeting("E0", "Changed"))
    work.delete("e1.ics")
    work.put("new.ics", meeting("NEW"))
    reply = await dav.sync(WORK, token)
    assert reply.hrefs == [f"{WORK}{name}.ics" for name in ("e0", "e1", "new")]
    assert reply.props(WORK + "e0.ics")[ETAG].text == changed.etag
    assert reply.status_of(WORK + "e1.ics") == "HTTP/1.1 404 Not Found"
    assert not reply.props(WORK + "e1.ics")


@pytest.mark.parametrize(("behaviour", "hrefs"), [("404", [WORK + "brief.ics"]), ("absent", [])])
async def test_what_was_made_and_deleted_in_between_is_404_or_absent(
    dav: RawClient, anna: Account, work: Calendar, behaviour: str, hrefs: list[str]
) -> None:
    anna.knobs.apply({"created_and_deleted": behaviour})
    token = (await dav.sync(WORK)).sync_token
    work.put("brief.ics", meeting("BRIEF"))
    work.delete("brief.ics")
    assert (await dav.sync(WORK, token)).hrefs == hrefs


async def test_a_renamed_collection_lists_itself_in_the_delta(dav: RawClient, work: Calendar) -> None:
    token = (await dav.sync(WORK)).sync_token
    work.rename("Office")
    assert (await dav.sync(WORK, token)).hrefs == [WORK]


@pytest.mark.parametrize("kind", ["garbage", "foreign", "expired"])
async def test_an_invalid_token_is_403_in_exactly_this_xml(
    dav: RawClient, anna: Account, work: Calendar, kind: str
) -> None:
    tokens = {
        "garbage": "garbage",
        "foreign": (await dav.sync("/300000001/calendars/home/")).sync_token,
        "expired": (await dav.sync(WORK)).sync_token,
    }
    work.expire_tokens()
    reply = await dav.sync(WORK, tokens[kind])
    assert reply.status == 403
    assert reply.text == "<?xml version='1.0' encoding='UTF-8'?><error xmlns='DAV:'><valid-sync-token/></error>"
    for behaviour, status in (("bare403", 403), ("409", 409), ("410", 410), ("500", 500)):
        anna.knobs.apply({"invalid_token": behaviour})
        assert (await dav.sync(WORK, tokens[kind])).status == status


async def test_an_old_token_may_be_accepted_and_answered_with_everything(dav: RawClient, anna: Account) -> None:
    anna.knobs.invalid_token = "everything"
    assert (await dav.sync(WORK, "FT=-@RU=old@S=169")).hrefs == (await dav.sync(WORK)).hrefs


async def test_calendar_data_is_not_given_in_a_sync(dav: RawClient) -> None:
    reply = await dav.sync(WORK, "", "d:getetag", "c:calendar-data")
    assert set(reply.props(WORK + "e0.ics")) == {ETAG}
    assert set(reply.props(WORK + "e0.ics", status="404 Not Found")) == {clark(CALDAV, "calendar-data")}


async def test_a_truncated_sync_says_507_and_goes_on_from_its_token(dav: RawClient, anna: Account) -> None:
    anna.knobs.sync_truncates_at = 2
    first = await dav.sync(WORK)
    assert first.hrefs == [WORK, WORK + "e0.ics", WORK + "e1.ics", WORK]
    assert first.text.count("507 Insufficient Storage") == 1
    second = await dav.sync(WORK, first.sync_token)
    assert second.hrefs == [WORK + "e2.ics"]
    assert (await dav.sync(WORK, second.sync_token)).hrefs == []


async def test_tokens_have_apples_shape_and_must_not_be_url_encoded(dav: RawClient, work: Calendar) -> None:
    first = (await dav.sync(WORK)).sync_token
    work.put("e9.ics", meeting("E9"))
    second = (await dav.sync(WORK)).sync_token
    assert first != second
    for token in (first, second):
        assert token.startswith("HwoQEgwAA")
        assert token.endswith("KABIAA==")
        assert {"+", "/", "="} <= set(token)
        assert (await dav.sync(WORK, quote(token, safe=""))).status == 403


async def test_members_may_be_spelled_in_any_way(dav: RawClient, anna: Account) -> None:
    for spelled, first in (
        ("encoded", WORK + "%650.ics"),
        ("absolute", f"https://p99-caldav.icloud.com:443{WORK}e0.ics"),
        ("relative", "e0.ics"),
    ):
        anna.knobs.apply({"member_hrefs": spelled})
        assert (await dav.sync(WORK)).hrefs[1] == first
        assert (await dav.propfind(WORK, "d:getetag", depth="1")).hrefs[1] == first


async def test_a_delta_may_deny_what_is_there(dav: RawClient, anna: Account, work: Calendar) -> None:
    token = (await dav.sync(WORK)).sync_token
    work.put("e3.ics", meeting("E3"))
    anna.knobs.sync_denies = 2
    reply = await dav.sync(WORK, token)
    assert reply.hrefs == [WORK + "e3.ics", WORK + "e0.ics", WORK + "e1.ics"]
    assert reply.status_of(WORK + "e0.ics") == "HTTP/1.1 404 Not Found"


async def test_the_members_may_be_cut_short_or_lost(dav: RawClient, anna: Account) -> None:
    token = (await dav.sync(WORK)).sync_token
    anna.knobs.members_truncate_at = 1
    assert (await dav.propfind(WORK, "d:getetag", depth="1")).hrefs == [WORK, WORK + "e0.ics", WORK]
    anna.knobs.members_lost = {"work"}
    assert (await dav.propfind(WORK, "d:getetag", depth="1")).hrefs == [WORK]
    assert (await dav.sync(WORK)).hrefs == [WORK]
    denied = await dav.sync(WORK, token)
    assert {denied.status_of(href) for href in denied.hrefs} == {"HTTP/1.1 404 Not Found"}
    assert (await dav.ask("GET", WORK + "e0.ics")).status == 200


async def test_a_member_may_be_listed_and_not_be_had(dav: RawClient, anna: Account) -> None:
    anna.knobs.ghosts = {"e0.ics"}
    assert WORK + "e0.ics" in (await dav.sync(WORK)).hrefs
    assert (await dav.multiget(WORK, WORK + "e0.ics")).status_of(WORK + "e0.ics") == "HTTP/1.1 404 Not Found"
    assert (await dav.ask("GET", WORK + "e0.ics")).status == 404
