"""Goals 1, 2, 4 and 12: what an answer costs the server, beside a bare aiohttp handler that returns the same bytes."""

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import ExitStack

from tests.bench.figures import Figure, missing, ratio, spread
from tests.bench.load import Load, Questions, ask_once, load, question
from tests.bench.processes import Server
from tests.bench.seed import Household, seed_objects, seed_spans, spread_objects
from tests.bench.workshop import Workshop, bare, busyd

FRESH = Questions()
SAME = Questions(repeated=True)
SPANS_IN_ANSWER = 38
_HORIZON = 552 * 86_400


def measure_answers(workshop: Workshop) -> list[Figure]:
    """Goals 1, 2 and 12, all servers side by side: 10,000 disjoint events over five years, 38 in a week."""
    household = workshop.household("answers", _seed_spread)
    noisy = workshop.household("answers-noisy", lambda one: _copy(household, one))
    fast = workshop.household("answers-uvloop", lambda one: _copy(household, one))
    tokens = {one.folder.name: one.make_token() for one in (household, noisy, fast)}
    with ExitStack() as stack:
        quiet = stack.enter_context(busyd(household))
        loud = stack.enter_context(busyd(noisy, log="debug"))
        quick = stack.enter_context(busyd(fast, plain_loop=False)) if _has_uvloop() else None
        body = asyncio.run(ask_once(quiet.port, _typical(), token=tokens["answers"]))
        limit = stack.enter_context(bare(workshop, body))
        fast_limit = stack.enter_context(bare(workshop, body, uvloop=True)) if _has_uvloop() else None
        workshop.say(f"an answer has {len(body)} bytes; every request bears a token")
        rounds = []
        for number in range(workshop.rounds):
            one = {
                "bare": _round(workshop, limit, questions=SAME, number=number),
                "bare, fresh": _round(workshop, limit, questions=FRESH, number=number),
                "fresh": _round(workshop, quiet, questions=FRESH, number=number, token=tokens["answers"]),
                "same": _round(workshop, quiet, questions=SAME, number=number, token=tokens["answers"]),
                "loud": _round(workshop, loud, questions=FRESH, number=number, token=tokens["answers-noisy"]),
            }
            if quick is not None and fast_limit is not None:
                one["bare, uvloop"] = _round(workshop, fast_limit, questions=SAME, number=number)
                one["uvloop, fresh"] = _round(
                    workshop, quick, questions=FRESH, number=number, token=tokens["answers-uvloop"]
                )
                one["uvloop, same"] = _round(
                    workshop, quick, questions=SAME, number=number, token=tokens["answers-uvloop"]
                )
            rounds.append(one)
    for name in rounds[0]:
        workshop.say(f"  {name}: {spread([one[name].cpu_each for one in rounds], 'us CPU a request')}")
    figures = [
        ratio(
            1,
            "capacity, fresh window, of bare aiohttp's",
            values=_capacity(rounds, "fresh", limit="bare"),
            at_least=0.8,
        ),
        ratio(1, "the same, bare asked likewise", values=_capacity(rounds, "fresh", limit="bare, fresh")),
        ratio(1, "capacity, repeated window", values=_capacity(rounds, "same", limit="bare"), at_least=0.95),
        ratio(
            12, "capacity with debug logging, of quiet", values=_capacity(rounds, "loud", limit="fresh"), at_least=0.9
        ),
    ]
    if quick is None:
        return [*figures, missing(2, "capacity with uvloop", why="uvloop is not installed")]
    return [
        *figures,
        ratio(
            2, "bare aiohttp with uvloop, of bare on asyncio", values=_capacity(rounds, "bare, uvloop", limit="bare")
        ),
        ratio(
            2,
            "uvloop, fresh window, of bare on asyncio",
            values=_capacity(rounds, "uvloop, fresh", limit="bare"),
            at_least=0.9,
        ),
        ratio(2, "uvloop, repeated window", values=_capacity(rounds, "uvloop, same", limit="bare"), at_least=0.9),
    ]


def measure_flatness(workshop: Workshop) -> list[Figure]:
    """Goal 4: a thousand and a million stored intervals, windows at random that hold 38 of them."""
    few = workshop.household("flat-1k", lambda one: seed_spans(one, 1000))
    many = workshop.household("flat-1000k", lambda one: seed_spans(one, 1_000_000))
    piled = workshop.household("flat-piled", lambda one: seed_spans(one, 1000, copies=1000))
    with ExitStack() as stack:
        sides = [
            (stack.enter_context(busyd(one)), Questions(width=_HORIZON * SPANS_IN_ANSWER // count))
            for one, count in ((few, 1000), (many, 1_000_000), (piled, 1000))
        ]
        rounds = [
            [_round(workshop, server, questions=questions, number=number) for server, questions in sides]
            for number in range(workshop.rounds)
        ]
    for at, name in enumerate(("1k", "1,000k disjoint", "1,000k that merge to 1k")):
        workshop.say(f"  {name}: {spread([one[at].cpu_each for one in rounds], 'us CPU a request')}")
    return [
        ratio(4, "CPU a query, 1,000k more than 1k stored spans", values=_more(rounds, 1), at_most=5, unit=" us"),
        ratio(4, "the same, merging to one and the same answer", values=_more(rounds, 2), at_most=5, unit=" us"),
    ]


def _seed_spread(household: Household) -> None:
    seed_objects(household, spread_objects(10_000, 5))


def _copy(filled: Household, other: Household) -> None:
    """Have another household hold the same."""
    shutil.copytree(filled.state, other.state)


def _typical() -> str:
    return question(FRESH.range()[0] + 86_400, FRESH.width)


def _round(workshop: Workshop, server: Server, *, questions: Questions, number: int, token: str = "") -> Load:
    return load(server, questions, seconds=workshop.seconds, token=token, seed=number + 1)


def _capacity(rounds: Sequence[dict[str, Load]], side: str, *, limit: str) -> list[float]:
    return [one[limit].cpu_each / one[side].cpu_each for one in rounds]


def _more(rounds: Sequence[Sequence[Load]], side: int) -> list[float]:
    return [one[side].cpu_each - one[0].cpu_each for one in rounds]


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True
