"""Items 1 to 11, 63 and 64: where the account is found, on which hosts, and the traps on the way."""

import pytest

from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.conftest import meeting
from tests.icloud.raw_client import ConnectionLost, RawClient
from tests.icloud.xml import CALDAV, DAV, clark

PRINCIPAL = clark(DAV, "current-user-principal")
HOME_SET = clark(CALDAV, "calendar-home-set")
ADDRESSES = clark(CALDAV, "calendar-user-address-set")


async def test_the_root_names_the_principal_as_a_bare_path(generic: RawClient) -> None:
    reply = await generic.propfind("/", "d:current-user-principal")
    assert reply.status == 207
    assert reply.hrefs == ["/"]
    assert reply.props("/")[PRINCIPAL].findtext(clark(DAV, "href")) == "/300000001/principal/"


async def test_the_root_needs_no_depth_header(generic: RawClient) -> None:
    with_depth = await generic.propfind("/", "d:current-user-principal")
    without = await generic.propfind("/", "d:current-user-principal", depth="")
    assert without.raw == with_depth.raw


@pytest.mark.parametrize("path", ["/", "/300000001/calendars/", "/300000001/calendars/work/"])
async def test_get_of_a_collection_is_400_and_never_a_login_page(generic: RawClient, anna: Account, path: str) -> None:
    reply = await generic.ask("GET", path)
    assert (reply.status, reply.raw) == (400, b"")
    anna.knobs.collection_get = "html"
    reply = await generic.ask("GET", path)
    assert reply.status == 400
    assert "<title>400 Bad Request</title>" in reply.text


async def test_well_known_answers_itself_or_redirects_or_is_missing(
    generic: RawClient, anna: Account, icloud: SimulatedIcloud
) -> None:
    path = "/.well-known/caldav"
    assert (await generic.propfind(path, "d:current-user-principal")).status == 207
    for behaviour, status in (("redirect301", 301), ("redirect308", 308)):
        anna.knobs.apply({"well_known": behaviour})
        reply = await generic.propfind(path, "d:current-user-principal")
        assert (reply.status, reply.headers["Location"]) == (status, icloud.shard_url)
    anna.knobs.well_known = "404"
    assert (await generic.propfind(path, "d:current-user-principal")).status == 404


async def test_the_home_set_is_absolute_on_the_shard_with_its_port(generic: RawClient, icloud: SimulatedIcloud) -> None:
    path = "/300000001/principal/"
    reply = await generic.propfind(path, "c:calendar-home-set")
    home = reply.props(path)[HOME_SET].findtext(clark(DAV, "href"))
    assert home == icloud.shard_url + "300000001/calendars/"
    assert (await generic.propfind(path, "c:calendar-home-set", depth="1")).status == 400


@pytest.mark.parametrize(("named", "homes"), [("both", ["calendars", "team"]), ("team", ["team"])])
async def test_the_home_set_may_name_two_homes_or_another(
    generic: RawClient, dav: RawClient, anna: Account, named: str, homes: list[str]
) -> None:
    anna.knobs.apply({"homes": named, "team_calendars": ["work"]})
    path = "/300000001/principal/"
    found = (await generic.propfind(path, "c:calendar-home-set")).props(path)[HOME_SET].findall(clark(DAV, "href"))
    assert [(home.text or "").rstrip("/").rpartition("/")[2] for home in found] == homes
    assert "/300000001/team/work/" in (await dav.propfind("/300000001/team/", "d:getetag", depth="1")).hrefs
    assert (
        "/300000001/calendars/work/" not in (await dav.propfind("/300000001/calendars/", "d:getetag", depth="1")).hrefs
    )
    assert (await dav.propfind("/300000001/team/work/", "d:getetag")).status == 207
    assert (await dav.propfind("/300000001/calendars/work/", "d:getetag")).status == 404


async def test_the_principal_may_call_itself_by_a_shorter_path(generic: RawClient, anna: Account) -> None:
    anna.knobs.short_principal_href = True
    reply = await generic.propfind("/300000001/principal/", "c:calendar-home-set")
    assert reply.hrefs == ["/principal/"]


async def test_both_origins_serve_home_calendar_and_object(generic: RawClient, dav: RawClient, work: Calendar) -> None:
    work.put("e1.ics", meeting())
    for client in (generic, dav):
        assert (await client.propfind("/300000001/calendars/", "d:getetag", depth="1")).status == 207
        assert (await client.sync("/300000001/calendars/work/")).status == 207
        assert (await client.ask("GET", "/300000001/calendars/work/e1.ics")).status == 200


@pytest.mark.parametrize("behaviour", ["404", "421", "401"])
async def test_a_shard_may_stop_serving_while_the_generic_host_works(
    generic: RawClient, dav: RawClient, anna: Account, behaviour: str
) -> None:
    anna.knobs.apply({"shard": behaviour})
    assert (await dav.propfind("/300000001/calendars/", "d:getetag")).status == int(behaviour)
    assert (await generic.propfind("/300000001/calendars/", "d:getetag")).status == 207


async def test_a_shard_may_reset_or_refuse_connections(dav: RawClient, anna: Account, icloud: SimulatedIcloud) -> None:
    anna.knobs.shard = "resets"
    with pytest.raises(ConnectionLost):
        await dav.propfind("/300000001/calendars/", "d:getetag")
    anna.knobs.shard = "serves"
    await icloud.stop_origin("shard")
    with pytest.raises(ConnectionLost):
        await dav.propfind("/300000001/calendars/", "d:getetag")
    await icloud.start_origin("shard")
    assert (await dav.propfind("/300000001/calendars/", "d:getetag")).status == 207


@pytest.mark.parametrize(("behaviour", "status"), [("421", 421), ("401", 401), ("serves", 207)])
async def test_after_a_migration_the_home_set_names_the_other_shard(
    generic: RawClient, dav: RawClient, anna: Account, icloud: SimulatedIcloud, behaviour: str, status: int
) -> None:
    anna.migrate()
    anna.knobs.apply({"wrong_shard": behaviour})
    reply = await generic.propfind("/300000001/principal/", "c:calendar-home-set")
    home = reply.props("/300000001/principal/")[HOME_SET].findtext(clark(DAV, "href")) or ""
    assert home.startswith(icloud.places.other_shard)
    assert (await generic.propfind(home, "d:getetag")).status == 207
    assert (await dav.propfind("/300000001/calendars/", "d:getetag")).status == status


async def test_hrefs_below_the_home_are_bare_paths_with_the_at_sign_encoded(dav: RawClient, work: Calendar) -> None:
    work.put("2001-123@example.com.ics", meeting())
    reply = await dav.sync("/300000001/calendars/work/")
    assert reply.hrefs[1] == "/300000001/calendars/work/2001-123%40example.com.ics"
    assert (await dav.ask("GET", reply.hrefs[1])).status == 200


async def test_the_address_set_has_five_forms_and_one_preferred(generic: RawClient, anna: Account) -> None:
    reply = await generic.propfind("/300000001/principal/", "c:calendar-user-address-set")
    hrefs = list(reply.props("/300000001/principal/")[ADDRESSES])
    token = anna.principal_token
    assert [href.text for href in hrefs] == [
        "/300000001/principal",
        f"/{token}/principal/",
        "urn:uuid:300000001",
        "mailto:anna@icloud.com",
        "mailto:anna@example.com",
    ]
    assert [href.text for href in hrefs if href.get("preferred") == "1"] == ["mailto:anna@icloud.com"]
    assert (await generic.propfind(f"/{token}/principal/", "d:displayname")).status == 207


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_the_generic_host_may_redirect_everything_to_the_shard(
    generic: RawClient, anna: Account, icloud: SimulatedIcloud, status: int
) -> None:
    anna.knobs.bootstrap_redirect = status
    reply = await generic.propfind("/300000001/calendars/", "d:getetag")
    assert (reply.status, reply.headers["Location"]) == (status, icloud.shard_url + "300000001/calendars/")


@pytest.mark.parametrize("path", ["/999999999/calendars/", "/999999999/principal/", "/999999999/calendars/home/x.ics"])
async def test_another_accounts_path_is_403_and_empty(dav: RawClient, path: str) -> None:
    reply = await dav.propfind(path, "d:getetag")
    assert (reply.status, reply.raw) == (403, b"")


@pytest.mark.parametrize("trap", ["http", "other-domain", "private-address"])
async def test_a_redirect_can_lead_to_a_foreign_host_and_the_log_tells_who_followed(
    generic: RawClient, anna: Account, icloud: SimulatedIcloud, trap: str
) -> None:
    anna.knobs.apply({"bootstrap_redirect": 301, "redirect_to": trap})
    location = (await generic.propfind("/", "d:getetag")).headers["Location"]
    await generic.propfind(location, "d:getetag")
    (followed,) = icloud.log.requests(origin="foreign")
    assert followed.authorization
    assert followed.host == location.split("/")[2]


async def test_a_redirect_can_lead_in_a_circle(generic: RawClient, anna: Account, icloud: SimulatedIcloud) -> None:
    anna.knobs.apply({"bootstrap_redirect": 301, "redirect_to": "loop"})
    assert (await generic.propfind("/", "d:getetag")).headers["Location"] == icloud.bootstrap_url
