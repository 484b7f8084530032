"""What a token that lacks a scope is advised."""

import pytest

from busyd.http.auth import scope_missing
from tests.http.conftest import Serve


@pytest.mark.parametrize(
    ("scopes", "advised"), [({"admin", "details"}, "details"), ({"admin"}, "admin"), ({"admin", "metrics"}, "metrics")]
)
def test_the_scope_that_gives_away_the_least_is_advised(scopes: set[str], advised: str) -> None:
    assert scope_missing(frozenset(scopes)).fix == f"make one with `busyd token add PROFILE --scope {advised}`"


@pytest.mark.parametrize(
    ("path", "advised"),
    [
        ("/v1/profiles/anna/freebusy", "busyd token add PROFILE`"),
        ("/v1/profiles/anna/explain", "busyd token add PROFILE --scope details`"),
        ("/v1/profiles/anna/appointments", "busyd token add PROFILE --scope book`"),
    ],
)
async def test_who_has_no_token_is_advised_to_make_one_that_is_enough(serve: Serve, path: str, advised: str) -> None:
    served = await serve(local_access=False)
    refused = await served.ask(path)
    assert (refused.status, refused.error) == (401, "login-needed")
    assert advised in refused.json["fix"]
