"""Webhooks: in order, each until it is taken, over days without a receiver, kills, and whatever a receiver answers."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from busyd.credentials import Secret
from busyd.credentials.webhooks import derive_secret, digest_of
from busyd.flow.changes import ChangeView
from busyd.flow.webhook_messages import message_of
from busyd.store.changes import ChangeEvent, NewEntry, ToldState
from tests.flow.webhook_stage import MASTER, Stage, body_of, fail_and_kill
from tests.http.small_backend import NOW
from tests.receiver import Answer, Received, Receiver, receiving

HOUR = 3600


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.backend.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def numbers(received: list[Received]) -> list[int]:
    return [one.json["id"] for one in received]


def types(received: list[Received]) -> list[str]:
    return [one.json["type"] for one in received]


async def test_entries_come_in_order_signed_and_only_those_that_were_asked_for(
    stage: Stage, receiver: Receiver
) -> None:
    secret = stage.add(receiver.url, events=("busy", "connection"))
    await stage.tell(ChangeEvent.BUSY)  # before the daemon knew the hook
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY, ChangeEvent.FREE, ChangeEvent.CONNECTION, ChangeEvent.APPOINTMENT)
        await stage.tell(ChangeEvent.BUSY, profile="bob")
        await stage.tell(ChangeEvent.RESET)
        await stage.until(lambda: len(receiver.received) == 3)
        await stage.until_idle()
    assert types(receiver.received) == ["busy", "connection", "reset"]
    assert numbers(receiver.received) == [2, 4, 7]
    assert [one.id for one in receiver.received] == ["msg_hook_2", "msg_hook_4", "msg_hook_7"]
    assert all(one.is_signed_with(secret) for one in receiver.received)
    assert not any(
        one.is_signed_with(derive_secret(MASTER, "hook", generation=1).reveal()) for one in receiver.received
    )


async def test_a_receiver_that_is_down_for_three_days_gets_every_entry_once_and_in_order(
    stage: Stage, receiver: Receiver
) -> None:
    taken: list[Received] = []

    def answer(received: Received) -> Answer:
        if stage.clock.passed < 72 * HOUR:
            return 502
        taken.append(received)
        return 200

    receiver.answer = answer
    stage.add(receiver.url)
    told = 0
    async with stage.running():
        while stage.clock.passed < 72 * HOUR:
            await stage.tell(ChangeEvent.BUSY, ChangeEvent.FREE)
            told += 2
            await stage.clock.skip()
        await stage.until(lambda: len(taken) == told)
        await stage.until_idle()
        assert stage.endpoint().view(told, is_unknown=False).state == "ok"
    assert told > 100
    assert numbers(taken) == list(range(1, told + 1))
    assert len({one.id for one in taken}) == told
    tries = len(receiver.received) - told
    assert 72 < tries < 100, "at least once an hour, and not much more often"


async def test_a_receiver_that_fails_for_75_hours_is_given_up_until_somebody_takes_it_up(
    stage: Stage, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="busyd")
    receiver.answer = lambda _: 500
    stage.add(receiver.url)
    async with stage.running() as webhooks:
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: receiver.received)
        while not stage.endpoint().progress.ended:
            await stage.clock.skip()
            tries = len(receiver.received)
            await stage.until(lambda: len(receiver.received) > tries)  # noqa: B023 - awaited here
            await stage.until(lambda: stage.endpoint().next_try or stage.endpoint().progress.ended)
        assert stage.clock.passed == pytest.approx(75 * HOUR, abs=1)
        [view] = webhooks.views()
        assert (view.state, view.behind) == ("given-up", 1)
        assert "answered 500" in view.detail
        assert "busyd webhook replay hook" in view.fix
        await stage.tell(ChangeEvent.FREE)
        assert stage.endpoint().is_idle
        receiver.answer, before = (lambda _: 204), len(receiver.received)
        stage.replay()
        await webhooks.read_hooks()
        await stage.until(lambda: len(receiver.received) == before + 2)
    assert numbers(receiver.received)[before:] == [1, 2]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("busyd.flow.webhook")]
    assert len(said) == 3, "one line when it began to fail, one when it was given up, and one when it worked again"
    assert "/hooks/" not in "".join(said)


async def test_410_ends_a_hook_and_nothing_more_is_sent_over_restarts_either(stage: Stage, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    stage.add(receiver.url)
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: stage.endpoint().progress.ended)
    async with stage.running() as webhooks:
        await stage.tell(ChangeEvent.BUSY)
        await stage.until_idle()
        assert [view.state for view in webhooks.views()] == ["gone"]
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(stage: Stage, receiver: Receiver, status: int) -> None:
    with receiving() as elsewhere:
        receiver.answer = lambda _: (status, {"Location": elsewhere.url})
        stage.add(receiver.url)
        async with stage.running() as webhooks:
            await stage.tell(ChangeEvent.BUSY)
            await stage.until(lambda: stage.endpoint().next_try)
            [view] = webhooks.views()
            assert "redirects are not followed" in view.detail
        assert not elsewhere.received


@pytest.mark.parametrize(("status", "least"), [(429, 600), (503, 600), (500, 5)])
async def test_a_receiver_that_asks_for_time_gets_it(stage: Stage, receiver: Receiver, status: int, least: int) -> None:
    receiver.answer = lambda _: (status, {"Retry-After": "600"})
    stage.add(receiver.url)
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: stage.endpoint().next_try)
        await stage.clock.skip()
        assert least <= stage.clock.passed <= least * 1.2


async def test_what_was_taken_before_a_restart_is_not_told_again(stage: Stage, receiver: Receiver) -> None:
    stage.add(receiver.url)
    for number in range(3):
        async with stage.running():
            await stage.tell(ChangeEvent.BUSY, ChangeEvent.FREE)
            await stage.until(lambda: len(receiver.received) == 2 * number + 2)  # noqa: B023 - awaited here
            await stage.until_idle()
    assert numbers(receiver.received) == [1, 2, 3, 4, 5, 6]


async def test_the_hours_of_failing_count_on_over_restarts_and_whatever_the_wall_clock_does(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 500
    stage.add(receiver.url)
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY)
    for jump in (0, 40 * 24 * HOUR, -80 * 24 * HOUR):
        stage.clock.jumped += jump
        async with stage.running():
            began = stage.clock.passed
            while stage.clock.passed < began + 20 * HOUR:
                await stage.until(lambda: stage.endpoint().next_try)
                await stage.clock.skip()
            await stage.until(lambda: stage.endpoint().next_try)
            assert not stage.endpoint().progress.ended
    # What had passed of a wait when busyd stopped is not counted: 3 h at most.
    assert 57 * HOUR <= stage.endpoint().progress.failed_for < 66 * HOUR


async def test_a_hook_whose_place_in_the_log_is_gone_is_told_reset_until_it_takes_that_and_then_what_follows(
    stage: Stage, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add(receiver.url)
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: receiver.received)
        await stage.until_idle()
    stage.clock.passed += 40 * 24 * HOUR
    await stage.tell(ChangeEvent.BUSY)
    stage.clock.passed += 2 * 24 * HOUR
    for _ in range(2):  # the second entry makes the log forget what is too old
        stage.clock.passed += 31 * 24 * HOUR
        await stage.tell(ChangeEvent.BUSY)
    receiver.answer = lambda _: 500 if len(receiver.received) == 1 else 204
    async with stage.running():
        await stage.until(lambda: stage.endpoint().next_try)
        await stage.clock.skip()
        await stage.until(lambda: len(receiver.received) == 3)
        await stage.until_idle()
        await stage.tell(ChangeEvent.FREE)
        await stage.until(lambda: len(receiver.received) == 4)
    assert types(receiver.received) == ["busy", "reset", "reset", "free"]
    assert [one.id for one in receiver.received[1:3]] == ["msg_hook_reset_1"] * 2
    assert sum("told `reset`" in record.getMessage() for record in caplog.records) == 1
    assert numbers(receiver.received)[2:] == [4, 5]


async def test_replay_tells_again_what_came_since_with_the_same_ids(stage: Stage, receiver: Receiver) -> None:
    stage.add(receiver.url)
    async with stage.running() as webhooks:
        for _ in range(4):
            await stage.tell(ChangeEvent.BUSY)
            stage.clock.passed += HOUR
        await stage.until(lambda: len(receiver.received) == 4)
        await stage.until_idle()
        stage.replay(since=int(NOW + HOUR + 1))
        await webhooks.read_hooks()
        await webhooks.read_hooks()  # what was asked is done once
        await stage.until(lambda: len(receiver.received) == 6)
        await stage.until_idle()
    assert numbers(receiver.received) == [1, 2, 3, 4, 3, 4]
    assert receiver.received[2].id == receiver.received[4].id
    assert receiver.received[2].body == receiver.received[4].body


async def test_after_a_rotation_both_secrets_sign_for_a_day(stage: Stage, receiver: Receiver) -> None:
    old = stage.add(receiver.url)
    new = derive_secret(MASTER, "hook", generation=1)
    async with stage.running() as webhooks:
        stage.backend.command_line.webhooks(
            lambda kept: kept.rotate("hook", generation=1, digest=digest_of(new), now=stage.clock.now())
        )
        await webhooks.read_hooks()
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: len(receiver.received) == 1)
        stage.clock.passed += 24 * HOUR
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: len(receiver.received) == 2)
    signed = [(one.is_signed_with(old), one.is_signed_with(new.reveal())) for one in receiver.received]
    assert signed == [(True, True), (False, True)]


@pytest.mark.parametrize("master", [None, Secret("another" * 10)])
async def test_nothing_is_sent_that_cannot_be_signed_and_all_of_it_once_it_can(
    stage: Stage, receiver: Receiver, master: Secret | None
) -> None:
    stage.add(receiver.url)
    stage.master = master
    async with stage.running() as webhooks:
        await stage.tell(ChangeEvent.BUSY, ChangeEvent.FREE)
        await stage.until_idle()
        assert [view.state for view in webhooks.views()] == ["unsigned"]
        assert not receiver.received
        stage.master = MASTER
        following = asyncio.create_task(webhooks.follow_ledger())
        while not receiver.received:
            await stage.clock.skip()
            await asyncio.sleep(0.01)
        await stage.until(lambda: len(receiver.received) == 2)
        following.cancel()
        assert [view.state for view in webhooks.views()] == ["ok"]


async def test_a_hook_of_a_profile_that_is_taken_out_of_the_configuration_waits_for_it(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 500
    stage.add(receiver.url)
    async with stage.running() as webhooks:
        await stage.tell(ChangeEvent.BUSY, ChangeEvent.FREE)
        await stage.until(lambda: stage.endpoint().next_try)
        anna = stage.backend.state.profiles.pop("anna")
        await stage.clock.skip()
        await stage.until_idle()
        assert [view.state for view in webhooks.views()] == ["unknown-profile"]
        tries = len(receiver.received)
        receiver.answer = lambda _: 200
        stage.backend.state.profiles["anna"] = anna
        following = asyncio.create_task(webhooks.follow_ledger())
        await stage.until(lambda: len(receiver.received) == tries + 2)
        following.cancel()
    assert numbers(receiver.received)[tries:] == [1, 2]


async def test_a_rotation_while_much_is_delivered_counts_from_the_next_message_on(
    stage: Stage, receiver: Receiver
) -> None:
    stage.add(receiver.url)
    new = derive_secret(MASTER, "hook", generation=1)
    rotated, went_on = threading.Event(), threading.Event()

    def answer(_: Received) -> Answer:
        if len(receiver.received) == 1:
            rotated.set()
            assert went_on.wait(60)
        return 204

    receiver.answer = answer
    async with stage.running() as webhooks:
        await stage.tell(*[ChangeEvent.BUSY] * 5)
        await stage.until(rotated.is_set)
        stage.backend.command_line.webhooks(
            lambda kept: kept.rotate("hook", generation=1, digest=digest_of(new), now=stage.clock.now())
        )
        await webhooks.read_hooks()
        went_on.set()
        await stage.until(lambda: len(receiver.received) == 5)
    assert [one.is_signed_with(new.reveal()) for one in receiver.received] == [False] * 2 + [True] * 3


async def test_a_removed_hook_is_sent_nothing_more(stage: Stage, receiver: Receiver) -> None:
    stage.add(receiver.url)
    async with stage.running() as webhooks:
        assert stage.backend.command_line.webhooks(lambda kept: kept.remove("hook"))
        await webhooks.read_hooks()
        await stage.tell(ChangeEvent.BUSY)
        await stage.until_idle()
        assert webhooks.views() == []
    assert not receiver.received


async def test_a_receiver_that_hangs_holds_up_no_other(stage: Stage, receiver: Receiver) -> None:
    released: asyncio.Event = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{hanging.sockets[0].getsockname()[1]}/"
    for number in range(20):
        stage.add(url, name=f"hanging{number}")
    stage.add(receiver.url)
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY)
        await stage.until(lambda: receiver.received)
    released.set()
    hanging.close()
    await hanging.wait_closed()


async def test_what_concerned_nobody_for_long_is_written_down_so_that_no_reset_follows(
    stage: Stage, receiver: Receiver
) -> None:
    stage.add("http://127.0.0.1:9/", name="other")
    stage.add(receiver.url, profile="bob")
    async with stage.running():
        await stage.tell(*[ChangeEvent.BUSY] * 5, profile="bob")
        await stage.until(lambda: len(receiver.received) == 5)
    stored = stage.backend.command_line.webhooks(lambda kept: kept.all())
    assert [one.progress.cursor for one in stored] == [5, 5]


async def test_a_hook_for_all_profiles_is_told_of_all(stage: Stage, receiver: Receiver) -> None:
    stage.add(receiver.url, profile="*")
    async with stage.running():
        await stage.tell(ChangeEvent.BUSY)
        await stage.tell(ChangeEvent.BUSY, profile="bob")
        await stage.backend.log.append(
            [NewEntry.of(ChangeEvent.CONNECTION, (), told=body_of(NOW, ""))], ToldState(), now=NOW
        )
        await stage.until(lambda: len(receiver.received) == 3)
    assert types(receiver.received) == ["busy", "busy", "connection"]


def test_the_payload_is_that_of_the_specification() -> None:
    message = message_of("0a1b", ChangeView(7, "busy", b'{"type":"BUSY"}', NOW))
    assert message.id == "msg_0a1b_7"
    assert message.body == b'{"id":7,"type":"busy","timestamp":"2026-11-23T12:00:00Z","data":{"type":"BUSY"}}'


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_a_receiver_answers_and_however_often_busyd_is_killed_nothing_is_left_out(
    tmp_path: Path, seed: int
) -> None:
    await fail_and_kill(tmp_path, seed, rounds=12)
