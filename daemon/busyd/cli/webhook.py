"""`busyd webhook`: who is told of changes. Works on the ledger in the state directory, as `busyd token` does.

Whoever may write there is an administrator of this installation, so a receiver may be in the private network.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from busyd.cli.asked_time import HOW_TO_WRITE, asked_instant
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.installation import Installation
from busyd.cli.stores import credentials_of, kept_ledger
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.token import tokens_installation
from busyd.cli.webhook_add import add_webhook
from busyd.cli.window import show_time, zone_of_all
from busyd.clock import SystemClock
from busyd.config import Config
from busyd.credentials import Secret
from busyd.credentials.tokens import ALL_PROFILES
from busyd.credentials.webhooks import MASTER_NAME, OLD_SIGNS_FOR, derive_secret, digest_of, new_master
from busyd.flow.webhook_secrets import secrets_in_use
from busyd.flow.webhook_views import detail_of_webhook, fix_of_webhook, state_of_webhook
from busyd.ical.zones import Zone
from busyd.period import Instant, to_rfc3339
from busyd.store.ledger import Ledger
from busyd.store.webhooks import RESUME, WEBHOOK_EVENTS, StoredWebhook, Webhook
from busyd.timetext import BadText, parse_duration

_HOURS: Final = OLD_SIGNS_FOR // 3600


def add_webhook_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "webhook",
        help="manage webhooks: add, list, remove, rotate, test, replay",
        description="Manage webhooks: addresses to which the running daemon sends what becomes busy or free, as signed "
        "requests after the Standard Webhooks specification. It applies a change within a second.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    adding = actions.add_parser(
        "add",
        help="create a webhook",
        description="Create a webhook and print the secret that its requests are signed with. It is shown only once.",
    )
    adding.add_argument("profile", metavar="PROFILE", help=f"whose changes, or '{ALL_PROFILES}' for those of all")
    adding.add_argument("url", metavar="URL", help="where to send them; https, unless it is in the private network")
    adding.add_argument(
        "--events",
        metavar="EVENT[,EVENT]",
        action="append",
        help=f"what to tell: {', '.join(WEBHOOK_EVENTS)} (default: all of them)",
    )
    adding.add_argument("--json", action="store_true", help="print JSON")
    adding.set_defaults(run=add_webhook)
    listing = actions.add_parser("list", help="list webhooks", description="List all webhooks and how they are doing.")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_webhooks)
    for name, run, summary, more in (
        ("remove", remove_webhook, "remove a webhook", "Nothing more is sent to it."),
        (
            "rotate",
            rotate_webhook,
            "give a webhook another secret",
            f"It is shown only once. For {_HOURS} hours requests are signed with the old one, too, so that none is "
            "refused while the receiver is changed.",
        ),
        ("test", test_webhook, "send a test message", "Sent from here and at once, whatever the daemon is doing."),
        (
            "replay",
            replay_webhook,
            "deliver again, or go on after an end",
            "Without --since, a webhook that fails or has ended goes on where it stopped. A message that is sent again "
            "has the same id.",
        ),
    ):
        action = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}. {more}")
        action.add_argument("id", metavar="ID", help="the id shown by `busyd webhook list`")
        action.set_defaults(run=run)
        if name == "rotate":
            action.add_argument("--json", action="store_true", help="print JSON")
        if name == "replay":
            action.add_argument(
                "--since",
                metavar="TIME",
                help=f"send again what has changed since then: {HOW_TO_WRITE}, or how long ago, such as 2d",
            )


def list_webhooks(arguments: argparse.Namespace) -> int:
    """Print all, without their secrets."""
    installation = tokens_installation(arguments)
    config = installation.config_or_none
    with kept_ledger(installation) as ledger:
        stored = ledger.webhooks(lambda kept: kept.all()) if ledger is not None else []
    described = [_describe(one, config) for one in stored]
    if arguments.json:
        print_json(described)
    elif described:
        zone = zone_of_all(config)
        print_table(
            ("ID", "PROFILE", "URL", "EVENTS", "STATE", "LAST DELIVERED"),
            [
                (
                    one["id"],
                    one["profile"],
                    one["url"],
                    "all" if set(one["events"]) == set(WEBHOOK_EVENTS) else ", ".join(one["events"]),
                    one["state"],
                    show_time(one["delivered"], zone),
                )
                for one in described
            ],
        )
        print_note(f"times in {zone.name}")
        for one in described:
            if one["detail"]:
                print_note(f"{one['id']}: {one['detail']}; {one['fix']}")
    else:
        print("there are no webhooks")
    return ExitStatus.OK


def remove_webhook(arguments: argparse.Namespace) -> int:
    """Remove one."""
    installation = tokens_installation(arguments)
    with kept_ledger(installation) as ledger:
        if ledger is None or not ledger.webhooks(lambda kept: kept.remove(arguments.id)):
            raise _unknown(arguments.id)
    print(f"removed {arguments.id}")
    return ExitStatus.OK


def rotate_webhook(arguments: argparse.Namespace) -> int:
    """Give it another secret and print that once."""
    installation = tokens_installation(arguments)
    with _ledger_knowing(installation, arguments.id) as (ledger, stored):
        webhook = stored.webhook
        generation = webhook.generation + 1
        master = credentials_of(installation).get_or_set(MASTER_NAME, new_master)
        secret = derive_secret(master, webhook.id, generation=generation)
        now, digest = SystemClock().now(), digest_of(secret)
        ledger.webhooks(lambda kept: kept.rotate(webhook.id, generation=generation, digest=digest, now=now))
    if arguments.json:
        print_json({"id": webhook.id, "secret": secret.reveal(), "old_until": to_rfc3339(Instant(now + OLD_SIGNS_FOR))})
        return ExitStatus.OK
    print(f"secret  {secret.reveal()}")
    print(f"\nThe secret is shown only once. The old one still signs beside it for {_HOURS} hours.")
    return ExitStatus.OK


def test_webhook(arguments: argparse.Namespace) -> int:
    """Send a message that says nothing, and tell what comes back."""
    import asyncio

    from busyd.flow.webhook_messages import probe_message
    from busyd.flow.webhook_policy import judge
    from busyd.remote.webhooks import WebhookTarget, deliver, webhook_address

    installation = tokens_installation(arguments)
    with _ledger_knowing(installation, arguments.id) as (_, stored):
        webhook = stored.webhook
    target = WebhookTarget(webhook_address(webhook.url), private=webhook.private)
    clock = SystemClock()
    now, began = clock.now(), clock.monotonic()
    secrets = _secrets_of(installation, webhook, now=now)
    answer = asyncio.run(deliver(target, probe_message(webhook.id, now=now), secrets=secrets, now=now))
    verdict = judge(target.address.origin.authority, answer.status, retry_after=None, now=now)
    if verdict.detail:
        raise CommandFailed(verdict.detail, status=ExitStatus.REMOTE_UNAVAILABLE)
    took = clock.monotonic() - began
    print(f"{target.address.origin.authority} took the message ({answer.status}) after {took * 1000:.0f} ms")
    return ExitStatus.OK


def replay_webhook(arguments: argparse.Namespace) -> int:
    """Ask the daemon to begin again."""
    installation = tokens_installation(arguments)
    zone = zone_of_all(installation.config_or_none)
    since = _parse_since(arguments.since, zone)
    with _ledger_knowing(installation, arguments.id) as (ledger, stored):
        if since == RESUME and not stored.progress.ended and stored.progress.failing_since is None:
            message = f"{arguments.id} works, and is told what there is for it"
            raise CommandFailed(message, fix="to send something again, say since when, as in --since 2d")
        ledger.webhooks(lambda kept: kept.ask(arguments.id, since))
    when = (
        "where it stopped"
        if since == RESUME
        else f"with what came since {show_time(to_rfc3339(since), zone)} ({zone.name})"
    )
    print(f"{arguments.id} goes on {when}")
    if not installation.is_in_use:
        print_note("no daemon runs: that happens once one is started")
    return ExitStatus.OK


def _parse_since(text: str | None, zone: Zone) -> Instant:
    if text is None:
        return Instant(RESUME)
    now, program = SystemClock().now(), "busyd webhook replay"
    try:
        since = Instant(now - int(parse_duration(text).total_seconds()))
    except BadText:
        since = asked_instant(text, zone, now=now, option="--since", program=program)
    if not RESUME < since <= now:
        message = f"--since: {text[:40]!r} is not in the past"
        raise UsageError(message, program=program)
    return since


def _describe(stored: StoredWebhook, config: Config | None) -> dict[str, Any]:
    webhook, progress = stored.webhook, stored.progress
    is_unknown = config is not None and webhook.profile != ALL_PROFILES and webhook.profile not in config.profiles
    state = state_of_webhook(progress, is_unknown=is_unknown)
    times: Sequence[tuple[str, Instant | None]] = (
        ("created", webhook.created),
        ("rotated", webhook.rotated),
        ("failing_since", progress.failing_since),
        ("delivered", progress.delivered),
    )
    return {
        "id": webhook.id,
        "profile": webhook.profile,
        "url": webhook.url,
        "events": list(webhook.events),
        "private": webhook.private,
        "state": state.value,
        "detail": detail_of_webhook(state, progress),
        "fix": fix_of_webhook(state, webhook),
        "attempts": progress.attempts,
        **{name: None if at is None else to_rfc3339(at) for name, at in times},
    }


def _secrets_of(installation: Installation, webhook: Webhook, *, now: Instant) -> list[Secret]:
    secrets = secrets_in_use(credentials_of(installation).get(MASTER_NAME), webhook, now=now)
    if not secrets:
        message = f"the secret of {webhook.id} is lost"
        raise CommandFailed(message, fix=f"make another one with `busyd webhook rotate {webhook.id}`")
    return secrets


@contextmanager
def _ledger_knowing(installation: Installation, webhook: str) -> Iterator[tuple[Ledger, StoredWebhook]]:
    """The ledger with a webhook as it is stored there. Raises CommandFailed where there is none of that id."""
    with kept_ledger(installation) as ledger:
        stored = ledger.webhooks(lambda kept: kept.find(webhook)) if ledger is not None else None
        if ledger is None or stored is None:
            raise _unknown(webhook)
        yield ledger, stored


def _unknown(webhook: str) -> CommandFailed:
    message = f"there is no webhook with the id {webhook}"
    return CommandFailed(message, fix="run `busyd webhook list` to see the ids")
