"""The commands of the README's section on the service, by the heading they stand under."""

import re
from typing import Final

from tests.systemd.tree import REPOSITORY

SECTION: Final = "As a service"


def commands_of(heading: str) -> list[str]:
    """The lines of all shell blocks under `### heading`. An AssertionError when there are none."""
    section = _part((REPOSITORY / "README.md").read_text(), f"## {SECTION}\n", end="\n## ")
    part = _part(section, f"### {heading}\n", end="\n### ")
    blocks = re.findall(r"```sh\n(.*?)```", part, flags=re.DOTALL)
    assert blocks, f"the README has no commands under {heading!r}"
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def _part(text: str, begin: str, *, end: str) -> str:
    _, found, rest = text.partition(begin)
    assert found, f"the README has no line {begin.strip()!r}"
    return rest.partition(end)[0]
