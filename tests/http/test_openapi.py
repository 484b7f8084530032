import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd import http
from busyd.http.openapi import describe
from busyd.http.problem import TITLES
from tests.http.conftest import Served


async def test_every_route_is_described_with_its_methods_and_parameters(served: Served) -> None:
    paths = describe()["paths"]
    assert set(paths) == {route.path for route in served.endpoint.routes.all}
    for route in served.endpoint.routes.all:
        described = paths[route.path]
        assert {method.upper() for method in described} == set(route.methods)
        for method, operation in described.items():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
            assert named == route.parameters_of(method.upper())


async def test_the_description_is_served_to_whoever_has_a_token(served: Served) -> None:
    answer = await served.ask("/openapi.json", token=served.backend.token("anna"))
    assert answer.json == describe()


def refusals() -> Iterator[ast.Call]:
    """Every place in the handlers where a problem is made."""
    for module in Path(http.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("HttpProblem", "bad_request"):
                yield node


def test_every_status_that_can_come_is_described() -> None:
    made = {node.args[1].value for node in refusals() if len(node.args) > 1 and isinstance(node.args[1], ast.Constant)}
    assert made >= {401, 405, 431, 500, 503}
    described = describe()["paths"]
    for path, operations in described.items():
        for operation in operations.values():
            of_profile = {409} if "{profile}" in path else set()
            with_body = {408} if "post" in operations else set()
            assert {str(status) for status in (made - {408, 409, 410, 412, 422}) | of_profile | with_body} <= set(
                operation["responses"]
            )


def test_every_refusal_says_what_to_do() -> None:
    for node in refusals():
        assert "fix" in {keyword.arg for keyword in node.keywords}, ast.unparse(node)


def test_every_reference_leads_somewhere() -> None:
    description = describe()
    text = str(description)
    for kind, name in re.findall(r"#/components/(\w+)/(\w+)", text):
        assert name in description["components"][kind]


@pytest.mark.parametrize("name", sorted(TITLES))
def test_problem_names_stay_as_they_are(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert name in describe()["components"]["schemas"]["ProblemDetails"]["properties"]["type"]["pattern"]
