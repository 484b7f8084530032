"""One vocabulary: words that have a standard name here do not come back, nor do phrases nobody in the field uses."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

REPOSITORY: Final = Path(__file__).parent.parent
CHECKED: Final = ("daemon", "README.md", "CHANGELOG.md", "config", "systemd", "scripts", "tests")
EXEMPT: Final = (
    "tests/wire/",
    "tests/cases/",
    "tests/test_vocabulary.py",
    "tests/icloud/realistic_account.py",
    "daemon/busyd/http/page/vendor/",
)
"""Recordings, cases, this file, titles of events, and code of others."""

WORDS: Final = {
    r"house": "backend",
    r"facade": "backend",
    r"register": "state",
    r"visitor|visit|visits|visited": "context, poll",
    r"take_leave": "confirm_removal",
    r"let_cease": "stop_counting",
    r"patience(_with)?": "grace period, backoff, timeout",
    r"standing": "freshness",
    r"sheets?": "rendered periods",
    r"guard": "auth",
    r"turn_away": "throttle",
    r"doors?": "listener",
    r"strangers?": "unauthenticated client, another program",
    r"rooms?(?! (for|to)\b)": "package",
    r"corridors?": "pipeline",
    r"journeys?": "pipeline, end-to-end test",
    r"lived[-_ ]in": "realistic",
    r"clockwork": "zone_transitions",
}
"""Word, in any case and also as a part of an identifier -> what to say."""

NAMES: Final = {
    r"Rests": "CalendarBackoff",
    r"Finding": "SyncOutcome, ReportEntry",
    r"Door": "ListenerContext",
    r"Judged(?=[(\[,])": "Freshness",
}
"""Identifiers, in this case only -> what to say."""

PHRASES: Final = {
    r"the window of time is none": "the window is empty or reversed",
    r"asks? no more": "does not try again",
    r"not to be had": "could not be read",
    r"configuration: right|right configuration": "valid",
    r"as of never": "never confirmed",
    r"as often as busyd asks": "how often it is",
    r"stands? in the indentation|use blanks": "tab in the indentation; use spaces",
    r"it shall not": "so that it does not",
    r"in ipv6 clothes|in every clothing": "in every notation",
    r"the last wall": "the last resort",
    r"a fault of its own": "an internal error",
    r"is told in words|in words of its own": "has a message of its own",
}
"""Phrase, in any case -> the kind of thing to say."""

MODULES: Final = frozenset(
    {
        "account", "clockwork", "columns", "contact", "definition", "facade", "guard", "head", "house", "leaving",
        "life", "other_scales", "period_days", "person", "place", "reading", "register", "replaced", "reply", "sheet",
        "sites", "slices", "standing", "stepping", "stored_freebusy", "table", "unfetched", "unreadable", "value",
        "visit",
    }
)  # fmt: skip
"""Names that modules of the daemon no longer have."""

ALLOWED: Final = (
    r"tests[./]journey",  # the directory
    r"atexit\.register|register_profile|register_dumper|register_loader|--register=no",
    r"style sheet",
)
"""Legitimate uses, removed before the check."""


class Offence(Struct, frozen=True, order=True):
    """A forbidden word in a file."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word!r}: say {self.instead}"


def _compile(patterns: dict[str, str], *, flags: int = 0) -> list[tuple[re.Pattern[str], str]]:
    # An identifier is several words: `_` is a boundary here. A phrase may go over two lines.
    spaced = {pattern.replace(" ", r"\s+"): say for pattern, say in patterns.items()}
    return [(re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", flags), say) for pattern, say in spaced.items()]


_PATTERNS: Final = [
    *_compile(WORDS, flags=re.IGNORECASE),
    *_compile(NAMES),
    *_compile(PHRASES, flags=re.IGNORECASE),
]
_ANY: Final = re.compile("|".join(pattern.pattern for pattern, _ in _PATTERNS), re.IGNORECASE)
_ALLOWED: Final = re.compile("|".join(ALLOWED))
_BREAK: Final = re.compile(r"""["']?\n[ \t]*(?:#[ ]?|[fr]?["'])?""")
"""Between two lines of a comment, or two pieces of a string."""


def offences_in(text: str, file: str) -> Iterator[Offence]:
    """Every forbidden word and phrase of a text; phrases are found across the lines of a comment, too."""
    flat = _BREAK.sub(_blank, _ALLOWED.sub(_blank, text))
    if not _ANY.search(flat):
        return
    for pattern, say in _PATTERNS:
        for match in pattern.finditer(flat):
            yield Offence(file, text.count("\n", 0, match.start()) + 1, match[0], say)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def checked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", *CHECKED], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [
        file
        for file in listed
        if not file.startswith(EXEMPT)
        and not file.endswith((".ics", ".json", ".jsonl"))
        and (REPOSITORY / file).exists()
    ]


def offences_of(file: str) -> list[Offence]:
    offences = list(offences_in((REPOSITORY / file).read_text(), file))
    module = Path(file).stem
    if file.startswith("daemon/") and file.endswith(".py") and module in MODULES:
        offences.append(Offence(file, 1, f"{module}.py", "the name of architecture 2.3"))
    return sorted(offences)


@pytest.mark.parametrize("file", checked_files())
def test_a_file_uses_the_words_of_the_field(file: str) -> None:
    offences = offences_of(file)
    assert not offences, "\n".join(map(str, offences))


@pytest.mark.parametrize(
    "text",
    [
        "class House:\n",
        "def turn_away(caller): ...\n",
        "# Rooms log for themselves.\n",
        "self._patience_until = 3\n",
        "class Finding(Struct):\n",
        "class Rests:\n",
        '"""The first journey."""\n',
        "a lived-in account",
        "The Window of time is none",
        "# the password is not\n# to be had\n",
        'message = "as of "\n    "never"\n',
    ],
)
def test_a_planted_word_is_caught(text: str) -> None:
    assert list(offences_in(text, "x.py"))


@pytest.mark.parametrize(
    "text",
    [
        "import tests.journey.daemon\n",
        "atexit.register(close)\n",
        "there is room for one more\n",
        "warehouse, outstanding, registered, indoors, worksheet\n",
        "a finding of the doctor\n",
    ],
)
def test_an_ordinary_use_is_left_alone(text: str) -> None:
    assert list(offences_in(text, "x.py")) == []


def test_a_planted_module_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.test_vocabulary.REPOSITORY", tmp_path)
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "visit.py").write_text("")
    assert [offence.word for offence in offences_of("daemon/visit.py")] == ["visit.py"]
