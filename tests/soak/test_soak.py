"""What `scripts/soak` promises those who call it. The loops themselves take too long for a test."""

import pytest

from tests.soak.__main__ import loop_named, main, names


def test_the_list_has_every_loop_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names() != []
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", names())
def test_each_loop_explains_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"scripts/soak {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["no-such-loop"]])
def test_what_is_no_loop_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_every_loop_can_be_run() -> None:
    assert [name for name in names() if not callable(getattr(loop_named(name), "soak", None))] == []
