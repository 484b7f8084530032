"""`busyd webhook add`: what may be a receiver, and the secret that is shown once."""

import argparse
import socket

from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.known_names import config_that_counts, require_profile
from busyd.cli.stores import credentials_of, ledger_of
from busyd.cli.terminal import print_json, print_note
from busyd.cli.token import tokens_installation
from busyd.clock import SystemClock
from busyd.credentials.webhooks import MASTER_NAME, derive_secret, digest_of, new_master
from busyd.remote.public import is_for_nobody, is_public
from busyd.store.webhooks import WEBHOOK_EVENTS, Webhook, new_webhook_id


def add_webhook(arguments: argparse.Namespace) -> int:
    """Create one and print its secret once."""
    from busyd.remote.webhooks import webhook_address

    events = _parse_events(arguments.events)
    address = webhook_address(arguments.url)
    installation = tokens_installation(arguments)
    require_profile(arguments.profile, config_that_counts(arguments, installation))
    host = address.origin.host.strip("[]")
    is_private = _is_private(host, address.origin.port, scheme=address.origin.scheme)
    webhook = new_webhook_id()
    master = credentials_of(installation).get_or_set(MASTER_NAME, new_master)
    secret = derive_secret(master, webhook, generation=0)
    made = Webhook(
        webhook,
        arguments.profile,
        str(address),
        events,
        private=is_private,
        created=SystemClock().now(),
        generation=0,
        rotated=None,
        digest=digest_of(secret),
    )
    with ledger_of(installation) as ledger:
        ledger.webhooks(lambda kept: kept.add(made))
    if arguments.json:
        print_json(
            {"id": webhook, "profile": made.profile, "url": made.url, "events": events, "secret": secret.reveal()}
        )
        return ExitStatus.OK
    print(f"id      {webhook}")
    print(f"secret  {secret.reveal()}")
    print("\nThe secret is shown only once. The receiver needs it to verify the signature of each request.")
    if not installation.is_in_use:
        print_note("no daemon runs: it is told of changes from the start of one on")
    return ExitStatus.OK


def _parse_events(given: list[str] | None) -> tuple[str, ...]:
    known = ", ".join(WEBHOOK_EVENTS)
    words = [word.strip() for text in given or WEBHOOK_EVENTS for word in text.split(",") if word.strip()]
    for word in words:
        if word not in WEBHOOK_EVENTS:
            message = f"unknown event {word!r}; known events: {known}"
            raise UsageError(message, program="busyd webhook add")
    if not words:
        message = f"--events names no event; known events: {known}"
        raise UsageError(message, program="busyd webhook add")
    return tuple(event for event in WEBHOOK_EVENTS if event in words)


def _is_private(host: str, port: int, *, scheme: str) -> bool:
    """Whether the receiver is in the private network now; that alone it is allowed from then on.

    Raises CommandFailed for an address to which nothing is ever sent.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        print_note(f"warning: the name {host} could not be resolved; the webhook may only go to the public internet")
        found = set()
    if any(is_for_nobody(ip) for ip in found):
        message = f"{host} leads to a link-local address or a cloud's metadata: nothing is ever sent there"
        raise CommandFailed(message, fix="name the receiver by another address")
    is_private = any(not is_public(ip) for ip in found)
    if scheme != "https" and not is_private:
        message = f"{host} is not in the private network, and busy times do not go through the internet unencrypted"
        raise CommandFailed(message, fix="use an address that begins with https://")
    return is_private
