"""One delivery to a webhook: where it may go, and the signed request (Standard Webhooks). No retries, no redirects.

The name is resolved once for each delivery, and every address is checked when its socket is made, so that nothing is
sent to an address that was not checked.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from busyd.credentials import Secret
from busyd.credentials.webhooks import sign
from busyd.errors import RemoteError, UserError
from busyd.period import Instant
from busyd.remote.allowlist import Address, UnsafeUrl, to_ascii
from busyd.remote.errors import PrivateAddress
from busyd.remote.own_resolver import OwnThreadResolver
from busyd.remote.public import is_for_nobody, is_public
from busyd.remote.wire import USER_AGENT, Answer, TransferLimits, open_session, post_unread

LIMITS: Final = TransferLimits(connect=10.0, idle=15.0, total=15.0, parallel=1)
"""A receiver that needs longer than 15 s should take the message first, and work on it afterwards."""


class AddressRefused(RemoteError):
    """The name of a receiver leads where this hook does not go; nothing was sent."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} leads to an address where nothing is sent: a link-local one, one in the private network where the "
            "webhook was made for the internet, or the other way round without https"
        )


class WebhookMessage(Struct, frozen=True):
    """What is delivered: the same id and, but for a reset, the same body whenever it is tried again."""

    id: str
    body: bytes


class WebhookTarget(Struct, frozen=True):
    """Where it goes."""

    address: Address
    private: bool
    """Whether that may be in the private network."""

    def may_connect(self, ip: str) -> bool:
        """Never a link-local address, nor where clouds tell their machines secrets; unencrypted only privately."""
        if is_for_nobody(ip):
            return False
        if is_public(ip):
            return self.address.origin.scheme == "https"
        return self.private


async def deliver(
    target: WebhookTarget,
    message: WebhookMessage,
    *,
    secrets: Sequence[Secret],
    now: Instant,
    limits: TransferLimits = LIMITS,
    ssl_context: Any = True,
) -> Answer:
    """Send a message, signed with each of these secrets; the answer, whatever its status.

    Raises Unreachable, AddressRefused.
    """
    headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
        ("webhook-id", message.id),
        ("webhook-timestamp", str(now)),
        ("webhook-signature", sign(secrets, message.id, at=now, body=message.body)),
    ]
    try:
        async with open_session(
            limits, may_connect=target.may_connect, ssl_context=ssl_context, resolver=OwnThreadResolver()
        ) as session:
            return await post_unread(session, address=target.address, headers=headers, body=message.body)
    except PrivateAddress as error:
        raise AddressRefused(error.host) from None


def webhook_address(url: str) -> Address:
    """The address of a receiver as a person writes it. Raises UserError for what is none, and for what never is one."""
    try:
        address = Address.parse(to_ascii(url))
    except UnsafeUrl:
        raise UserError(
            "the address of a webhook is not a plain web address",
            fix="use the form https://example.org/hooks/busyd, without user name or password",
        ) from None
    host = address.origin.host.strip("[]")
    if _is_numeric(host) and is_for_nobody(host):
        message = f"{host} is link-local or a cloud's metadata: nothing is ever sent there"
        raise UserError(message, fix="name the receiver by another address")
    return address


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
