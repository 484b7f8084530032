"""The commands of the README, by the heading they stand under."""

import re

from tests.systemd.tree import REPOSITORY


def commands_of(heading: str) -> list[str]:
    """The lines of all shell blocks under a heading, without its sub-headings. An AssertionError without any."""
    text = (REPOSITORY / "README.md").read_text()
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"the README has no heading {heading!r}"
    blocks = re.findall(r"```sh\n(.*?)```", found[1], flags=re.DOTALL)
    assert blocks, f"the README has no commands under {heading!r}"
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def sentence(begin: str) -> str:
    """The command within a sentence that begins so."""
    found = re.search(rf"`({re.escape(begin)}[^`]*)`", (REPOSITORY / "README.md").read_text())
    assert found is not None, f"the README has no command that begins with {begin!r}"
    return " ".join(found[1].split())
