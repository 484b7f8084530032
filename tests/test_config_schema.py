"""The JSON Schema of the configuration: it takes what busyd takes, and has every key."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

import busyd.config
from busyd.cli.main import run_command_line
from busyd.config import load_config
from busyd.config.reader import ConfigReader

EXAMPLES = sorted((Path(__file__).parent.parent / "config").glob("*.yaml"))
SCHEMA: dict[str, Any] = json.loads((Path(busyd.config.__file__).parent / "schema.json").read_text())
EVERY_SECTION = """
tls: {cert: /dev/null, key: /dev/null}
connections:
  anna: {username: a@b.c, password: {credential: anna}}
profiles:
  anna: {primary: anna/Work, rules: {}, calendars: {anna/Work: {}}, slots: {}, appointments: {}}
"""


def errors_of(configuration: object) -> list[str]:
    """Where and why a configuration does not fit the schema."""
    as_json = json.loads(json.dumps(configuration, default=str))
    found = jsonschema_rs.validator_for(SCHEMA).iter_errors(as_json)
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in found]


def read_yaml(text: str) -> object:
    """As an editor reads it: keys are texts, also those that look like dates."""
    return _with_text_keys(yaml.safe_load(text))


def _with_text_keys(value: object) -> object:
    match value:
        case dict():
            return {str(key): _with_text_keys(below) for key, below in value.items()}
        case list():
            return [_with_text_keys(below) for below in value]
    return value


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_fits(example: Path) -> None:
    assert errors_of(read_yaml(example.read_text())) == []


def test_what_the_readme_shows_fits() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    before, _, recipes = readme.partition("\n## Recipes\n")  # in which the YAML is of other programs
    own = before + recipes.partition("\n## ")[2]
    blocks = [block.partition("```")[0] for block in own.split("```yaml\n")[1:]]
    assert blocks
    for block in blocks:
        assert errors_of(read_yaml(block)) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("lisen: 127.0.0.1:1", ""),
        ("profiles: {anna: {slots: {length: 30m}}}", "profiles/anna/slots"),
        ("profiles: {anna: {slots: {per_day: 0}}}", "profiles/anna/slots/per_day"),
        ("profiles: {anna: {slots: {window: 60}}}", "profiles/anna/slots/window"),
        ("profiles: {anna: {appointments: {invite: post}}}", "profiles/anna/appointments/invite"),
        ("profiles: {Anna: {}}", "profiles"),
        ("connections: {anna: {kind: google}}", "connections/anna/kind"),
        ("connections: {anna: {password: {vault: x}}}", "connections/anna/password"),
        ("tls: {cert: x}", "tls"),
    ],
)
def test_what_busyd_refuses_does_not(text: str, where: str) -> None:
    assert [error.partition(":")[0] for error in errors_of(read_yaml(text))] == [where]


def test_every_key_is_in_it_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections: dict[str, Sequence[str]] = {}
    known_only = ConfigReader.known_only

    def note(self: ConfigReader, entries: Any, what: str, *, known: Sequence[str]) -> Any:
        sections[what] = known
        return known_only(self, entries, what, known=known)

    monkeypatch.setattr(ConfigReader, "known_only", note)
    path = tmp_path / "config.yaml"
    path.write_text(EVERY_SECTION)
    load_config(path, {})
    assert {frozenset(known) for known in sections.values()} == set(_described(SCHEMA))
    assert len(sections) == 8


def _described(schema: Mapping[str, Any]) -> Iterator[frozenset[str]]:
    """The keys of every section of the schema; sources of passwords are read one by one."""
    if "properties" in schema:
        if schema.get("required") != list(schema["properties"]) or len(schema["properties"]) > 1:
            yield frozenset(schema["properties"])
        for below in schema["properties"].values():
            yield from _described(below)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _described(schema["additionalProperties"])


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
