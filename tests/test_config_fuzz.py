"""Configurations damaged at random: never a crash, and never a password in what is said about them."""

import random
from pathlib import Path

import pytest

from busyd.config import ConfigFaults, load_config
from busyd.config.errors import quote

FULL = Path(__file__).parent.parent / "config" / "full.yaml"
CANARY = "kXp9-vTzq-Canary-77"
PIECES = [
    "'",
    '"',
    "\n",
    "\t",
    " ",
    ": ",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "*",
    "&a ",
    "!",
    "#",
    "|\n",
    "\0",
    "é",
    "---\n",
]


def damage(text: str, dice: random.Random) -> str:
    """One to four mutations of a file."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(text))
        match dice.randrange(6):
            case 0:
                text = text[:at] + text[at + dice.randint(1, 12) :]
            case 1:
                text = text[:at] + dice.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + chr(dice.choice([*range(32, 127), 9, 0x2028, 0x1F600])) + text[at + 1 :]
            case 3:
                lines = text.split("\n")
                dice.shuffle(lines[(start := dice.randrange(len(lines))) : start + 3])
                lines.insert(dice.randrange(len(lines)), dice.choice(lines))
                text = "\n".join(lines)
            case 4:
                lines = text.split("\n")
                number = dice.randrange(len(lines))
                lines[number] = " " * dice.randint(0, 8) + lines[number].lstrip()
                text = "\n".join(lines)
            case 5:
                lines = text.split("\n")
                del lines[dice.randrange(len(lines))]
                text = "\n".join(lines)
    return text or "x"


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_never_crash_the_reader_nor_show_the_password(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    lines = [line.partition(" #")[0].rstrip() for line in FULL.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(line for line in lines if line.strip())
    text = text.replace("{credential: anna}", CANARY).replace("{env: TEAM_PASSWORD}", f"'{CANARY}'")
    path = tmp_path / "config.yaml"
    path.touch(mode=0o600)
    faulty = 0
    for _ in range(50):
        path.write_text(damage(text, dice))
        try:
            said = [*load_config(path, {"HOME": "/h"}).warnings]
        except ConfigFaults as error:
            said = [str(error), repr(error), *map(repr, error.faults)]
            faulty += 1
        assert not any(CANARY in one for one in said)
    assert faulty > 10


def test_what_is_quoted_is_cut_at_the_first_blank_and_is_never_an_app_specific_password() -> None:
    assert quote("60s password: x") == "'60s…'"
    assert quote("a" * 50) == f"'{'a' * 40}…'"
    assert quote("abcd-efgh-ijkl-mnop") == "'…'"
    assert quote("\x1b[2J") == "'…'"
    assert quote("") == "''"
