"""What a token that lacks a scope is advised."""

import pytest

from busyd.http.auth import scope_missing


@pytest.mark.parametrize(
    ("scopes", "advised"), [({"admin", "details"}, "details"), ({"admin"}, "admin"), ({"admin", "metrics"}, "metrics")]
)
def test_the_scope_that_gives_away_the_least_is_advised(scopes: set[str], advised: str) -> None:
    assert scope_missing(frozenset(scopes)).fix == f"make one with `busyd token add PROFILE --scope {advised}`"
