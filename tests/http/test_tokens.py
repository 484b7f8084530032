"""`/v1/tokens`: made, listed and revoked by those who may."""

import pytest

from busyd.credentials.tokens import LOCAL_TOKEN_NAME
from tests.http.conftest import Served
from tests.http.small_backend import NOW

PATH = "/v1/tokens"
ALL = ("freebusy", "details", "book", "admin")


async def test_a_token_is_made_shown_once_and_works(served: Served) -> None:
    admin = served.backend.token("*", *ALL)
    wanted = {"profile": "anna", "scopes": ["details", "freebusy"], "name": "my phone", "expires": "90d"}
    answer = await served.ask(PATH, method="POST", token=admin, body=wanted)
    assert answer.status == 201
    made = answer.json
    assert made["scopes"] == ["freebusy", "details"]
    assert (await served.ask(made["feed"])).status == 200
    assert (await served.ask("/v1/profiles/anna/explain", token=made["token"])).status == 200
    listed = (await served.ask(PATH, token=admin)).json["tokens"]
    found = next(token for token in listed if token["id"] == made["id"])
    assert (found["name"], found["current"], found["expires"]) == ("my phone", False, "2027-02-21T12:00:00Z")
    assert [token["current"] for token in listed if token["id"] != made["id"]] == [True]
    assert made["token"].split("_", 2)[2] not in (await served.ask(PATH, token=admin)).text


async def test_a_revoked_token_is_worth_nothing_at_once(served: Served) -> None:
    admin, token = served.backend.token("*", "admin"), served.backend.token("anna")
    path = f"{PATH}/{token.split('_')[1]}"
    assert (await served.ask(path, method="DELETE", token=admin)).status == 204
    assert (await served.ask("/v1/profiles/anna/freebusy", token=token)).status == 401
    assert (await served.ask(path, method="DELETE", token=admin)).error == "unknown-token"


async def test_an_admin_of_one_profile_has_nothing_to_do_with_another(served: Served) -> None:
    admin, other, wide = (served.backend.token(name, *ALL) for name in ("anna", "bob", "*"))
    listed = (await served.ask(PATH, token=admin)).json["tokens"]
    assert [token["profile"] for token in listed] == ["anna"]
    for token in (other, wide):
        answer = await served.ask(f"{PATH}/{token.split('_')[1]}", method="DELETE", token=admin)
        assert (answer.status, answer.error) == (404, "unknown-token")
    for profile in ("bob", "*", "ghost"):
        answer = await served.ask(PATH, method="POST", token=admin, body={"profile": profile})
        assert (answer.status, answer.error) == (404, "unknown-profile")


async def test_the_key_of_the_command_line_is_not_offered(served: Served) -> None:
    served.backend.command_line.add_token("*", scopes=ALL, details=False, expires=None, name=LOCAL_TOKEN_NAME, now=NOW)
    own = next(token for token in served.backend.command_line.tokens() if token.name == LOCAL_TOKEN_NAME)
    admin = served.backend.token("*", "admin", "freebusy")
    assert own.id not in (await served.ask(PATH, token=admin)).text
    assert (await served.ask(f"{PATH}/{own.id}", method="DELETE", token=admin)).error == "unknown-token"
    body = {"profile": "anna", "name": LOCAL_TOKEN_NAME}
    assert (await served.ask(PATH, method="POST", token=admin, body=body)).error == "invalid"


@pytest.mark.parametrize(
    "wanted",
    [{"scopes": ["details"]}, {"scopes": ["freebusy", "book"]}, {"scopes": ["freebusy"], "details": True}],
)
async def test_nobody_gives_what_he_lacks(served: Served, wanted: dict[str, object]) -> None:
    admin = served.backend.token("*", "admin", "freebusy")
    answer = await served.ask(PATH, method="POST", token=admin, body={"profile": "anna", **wanted})
    assert (answer.status, answer.error) == (403, "missing-scope")


@pytest.mark.parametrize(
    "wanted",
    [{"scopes": []}, {"scopes": ["all"]}, {"expires": "soon"}, {"expires": "0s"}, {"name": "x" * 101}, {"more": 1}],
)
async def test_what_makes_no_sense_is_refused(served: Served, wanted: dict[str, object]) -> None:
    admin = served.backend.token("*", *ALL)
    answer = await served.ask(PATH, method="POST", token=admin, body={"profile": "anna", **wanted})
    assert (answer.status, answer.error) == (422, "invalid")


async def test_a_token_for_all_or_without_freebusy_has_no_feed(served: Served) -> None:
    admin = served.backend.token("*", *ALL)
    for wanted in ({"profile": "*"}, {"profile": "anna", "scopes": ["details"]}):
        assert (await served.ask(PATH, method="POST", token=admin, body=wanted)).json["feed"] is None
