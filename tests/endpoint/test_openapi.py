import re

import pytest

from busyd.endpoint.openapi import describe
from busyd.endpoint.problem import TITLES
from tests.endpoint.conftest import Served


async def test_every_route_is_described_with_its_methods_and_parameters(served: Served) -> None:
    paths = describe()["paths"]
    assert set(paths) == {route.path for route in served.endpoint.routes.all}
    for route in served.endpoint.routes.all:
        described = paths[route.path]
        assert {method.upper() for method in described} == set(route.methods)
        for operation in described.values():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
            assert named == route.parameters


async def test_the_description_is_served_to_whoever_has_a_token(served: Served) -> None:
    answer = await served.ask("/openapi.json", token=served.house.token("anna"))
    assert answer.json == describe()


def test_every_reference_leads_somewhere() -> None:
    description = describe()
    text = str(description)
    for kind, name in re.findall(r"#/components/(\w+)/(\w+)", text):
        assert name in description["components"][kind]


@pytest.mark.parametrize("name", sorted(TITLES))
def test_problem_names_stay_as_they_are(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert name in describe()["components"]["schemas"]["problem"]["properties"]["type"]["pattern"]
