"""Sends the requests of one connection: to which host, with which credentials, how often. Does not parse responses.

The password is sent only to hosts of the allow-list; it is added on each hop, after the target has been checked.
"""

import asyncio
import base64
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any, Final

import aiohttp
from aiohttp import DigestAuthMiddleware as Digest

from busyd.clock import Clock
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.exchange import DavRequest, DavResponse, offered_schemes
from busyd.remote.allowlist import Address, AllowList, Origin, UnsafeUrl
from busyd.remote.backoff import RequestBudget
from busyd.remote.errors import MissingPassword, TooManyRedirects, Trouble, Unreachable, UnsafeRedirect
from busyd.remote.password import as_sent
from busyd.remote.public import is_public
from busyd.remote.wire import SAFE_METHODS, USER_AGENT, Answer, TransferLimits, exchange, limits_of, open_session

logger = logging.getLogger(__name__)

PasswordOf = Callable[[], Secret | Awaitable[Secret | None] | None]

_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_WRONG_SHARD: Final = frozenset({401, 404, 421})
"""What a shard host may answer that no longer serves the account; then the generic host decides."""
_PROXY: Final = frozenset({407, 511})
_SHARD_REST: Final = 3600.0
"""Seconds for which a shard host that failed is not used."""
_JUST_SERVED: Final = 60.0
"""Seconds for which a shard host that answered is known to serve the account."""
_PASSWORD_LIFE: Final = 30.0
"""Seconds for which a password is used before it is read again."""


class Transport:
    """Sends the requests of one connection, at most two at a time, over one HTTP session, and each write on its own."""

    def __init__(
        self,
        connection: Connection,
        password: PasswordOf,
        *,
        clock: Clock,
        limits: TransferLimits | None = None,
        allow: Iterable[str] = (),
        budget: RequestBudget | None = None,
        ssl_context: Any = True,
    ) -> None:
        """`password` is called regularly, so that a changed password is noticed; it may be a coroutine function.

        `allow` are further origins that may receive the password, for tests that simulate iCloud's two hosts. Nothing
        is opened before the first request. Raises UserError for an unusable URL.
        """
        allow = tuple(allow)
        self.requests_sent = 0
        self._connection = connection
        self._password_of = password
        self._clock = clock
        self._limits = limits or limits_of(connection)
        self._user_agent = connection.user_agent or USER_AGENT
        self._allowed = AllowList(connection, extra=allow)
        self._budget = budget or (
            RequestBudget() if connection.kind is ConnectionKind.ICLOUD else RequestBudget.generous()
        )
        self._ssl_context = ssl_context
        self._public_only = (
            connection.kind is ConnectionKind.ICLOUD and not allow and not self._allowed.start.origin.is_loopback
        )
        self._gate = asyncio.Semaphore(self._limits.parallel)
        self._session: aiohttp.ClientSession | None = None
        self._origin = self._allowed.start.origin
        self._resting: dict[Origin, float] = {}
        self._replaced: set[Origin] = set()
        """Shards of which was told that the generic host serves the account in their place."""
        self._password: Secret | None = None
        self._password_until = float("-inf")
        self.refused: Secret | None = None
        """The password that was last refused."""
        self._digests: dict[Origin, Digest] = {}
        """Servers that want Digest, with what was last agreed."""
        self._digested: Secret | None = None
        """The password that `_digests` was made with."""
        self._served = float("-inf")
        """When `_origin` last answered (monotonic seconds)."""

    async def send(self, request: DavRequest) -> DavResponse:
        """Send one request, follow its redirects, and return the response whatever its status.

        A path goes to the host that answered last. A request that a shard host of iCloud refuses is repeated at the
        generic host, whose answer counts. Raises Unreachable, AnswerTooLarge, UnsafeRedirect and the like when there
        is no response, WriteOutcomeUnknown when a change may have been made all the same.
        """
        async with self._gate:
            response = await self._ask(request)
            if response.status == 401:
                self.refused = self._password
                if await self.has_another_password():
                    response = await self._ask(request)
        if response.status < 400:
            self._origin = Address.parse(response.url).origin
            self._served = self._clock.monotonic()
        logger.debug("%s at %s -> %d", request.method, response.host, response.status)
        return response

    async def has_another_password(self) -> bool:
        """Read the password again: does it differ from the one last refused? A locked-out connection waits for that."""
        if not self._connection.username:
            return False
        await self._renew_password()
        return self._password is not None and self._password != self.refused

    async def has_changed_password(self) -> bool:
        """Read it again: is it another password than the one in use? Raises CredentialMissing, NotAppSpecific."""
        used = self._password
        await self._renew_password()
        return used is not None and self._password != used

    async def take_as_refused(self) -> Secret | None:
        """Read the password, which was refused before this process began; it is not tried for a changed one."""
        await self._renew_password()
        self.refused = self._password
        return self.refused

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, request: DavRequest) -> DavResponse:
        address = self._locate(request.target)
        generic = self._allowed.start.origin
        shard = address.origin
        if not self._allowed.is_shard(shard):
            return await self._follow(request, address)
        if self._resting.get(shard, 0.0) > self._clock.monotonic():
            return await self._follow(request, address.at(generic))
        response = None
        try:
            response = await self._follow(request, address)
        except Unreachable as error:
            if error.sent and request.method not in SAFE_METHODS:
                raise
        if response is not None and (response.status not in _WRONG_SHARD or self._is_gone(request, response)):
            self._replaced.discard(shard)
            return response
        second = await self._follow(request, address.at(generic))
        if second.status not in _WRONG_SHARD:
            if shard not in self._replaced:
                logger.info("%s does not serve this account now, %s does", shard.host, generic.host)
                self._replaced.add(shard)
            self._resting[shard] = self._clock.monotonic() + _SHARD_REST
        return second

    def _is_gone(self, request: DavRequest, response: DavResponse) -> bool:
        """Whether a 404 is about the object: a shard that has just served its collection serves the account."""
        has_just_served = self._clock.monotonic() - self._served < _JUST_SERVED
        return request.method == "GET" and response.status == 404 and has_just_served

    async def _follow(self, request: DavRequest, address: Address) -> DavResponse:
        """One request with its redirects: method, body and credentials are kept, and every hop is checked first."""
        seen = {address}
        in_a_circle = False
        for _ in range(self._limits.hops + 1):
            answer = await self._once(request, address)
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or not location:
                return DavResponse(answer.status, str(address), answer.headers, answer.body)
            target = self._redirected(address, location)
            if request.method not in SAFE_METHODS and target.path != address.path:
                # A redirected write is not followed to another path: Apple's server redirects a PUT to a collection.
                return DavResponse(answer.status, str(address), answer.headers, answer.body)
            if target in seen:
                in_a_circle = True
                break
            seen.add(target)
            address = target
        raise TooManyRedirects(address.origin.host, in_a_circle=in_a_circle)

    async def _once(self, request: DavRequest, address: Address) -> Answer:
        """One exchange, repeated once if a safe method hit a connection that the server had closed."""
        try:
            return await self._exchange(request, address)
        except Unreachable as error:
            if error.kind is not Trouble.RESET or request.method not in SAFE_METHODS:
                raise
        return await self._exchange(request, address)

    async def _exchange(self, request: DavRequest, address: Address) -> Answer:
        self._require_permitted(address.origin, by=address.origin.host)
        answer = await self._send_once(request, address, digest=self._digests.get(address.origin))
        if answer.status == 401 and (digest := self._digest_for(address.origin, answer)) is not None:
            answer = await self._send_once(request, address, digest=digest)
        return answer

    async def _send_once(self, request: DavRequest, address: Address, *, digest: Digest | None) -> Answer:
        headers = [("User-Agent", self._user_agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
        headers += request.headers
        if request.depth is not None:
            headers.append(("Depth", request.depth))
        basic = await self._authorization()
        headers += basic if digest is None else ()
        await self._clock.sleep(self._budget.take(self._clock.monotonic()))
        self.requests_sent += 1
        async with self._session_for(request.method) as session:
            answer = await exchange(
                session,
                request.method,
                address=address,
                headers=headers,
                body=request.body,
                limits=self._limits,
                digest=digest,
            )
        if answer.status in _PROXY:
            raise Unreachable(address.origin.host, Trouble.PROXY)
        return answer

    @contextlib.asynccontextmanager
    async def _session_for(self, method: str) -> AsyncIterator[aiohttp.ClientSession]:
        """The session of the connection; for what changes something one of its own.

        On a connection that was kept open, and that the server is about to close, nobody could tell whether a write was
        carried out. SOGo closes one after each PUT.
        """
        if method in SAFE_METHODS:
            if self._session is None:
                self._session = self._open_session()
            yield self._session
            return
        async with self._open_session() as session:
            yield session

    def _open_session(self) -> aiohttp.ClientSession:
        may_connect = is_public if self._public_only else None
        return open_session(self._limits, may_connect=may_connect, ssl_context=self._ssl_context)

    def _digest_for(self, origin: Origin, refused: Answer) -> Digest | None:
        """A login by Digest (RFC 7616) with the password just read, where the server offers that and not Basic."""
        schemes = offered_schemes(refused.headers)
        if self._password is None or "digest" not in schemes or "basic" in schemes:
            return None
        if origin in self._digests and self._digested == self._password:
            return None  # it has just been refused
        self._digested = self._password
        self._digests = {origin: Digest(self._connection.username.strip(), self._password.reveal())}
        return self._digests[origin]

    def _locate(self, target: str) -> Address:
        try:
            address = Address.parse(f"{self._origin}{target}" if target.startswith("/") else target)
        except UnsafeUrl:
            raise UnsafeRedirect(self._origin.host, "an invalid address") from None
        self._require_permitted(address.origin, by=self._origin.host)
        return address

    def _redirected(self, address: Address, location: str) -> Address:
        try:
            target = address.join(location)
        except UnsafeUrl:
            raise UnsafeRedirect(address.origin.host, "an invalid address") from None
        self._require_permitted(target.origin, by=address.origin.host)
        return target

    def _require_permitted(self, origin: Origin, *, by: str) -> None:
        if not self._allowed.permits(origin):
            raise UnsafeRedirect(by, str(origin))

    async def _authorization(self) -> list[tuple[str, str]]:
        """Basic, without waiting for a 401: Apple's server answers anonymous requests with 207 and no principal."""
        username = self._connection.username
        if not username:
            return []
        if self._password is None or self._clock.monotonic() >= self._password_until:
            await self._renew_password()
        if self._password is None:
            raise MissingPassword(self._origin.host)
        token = base64.b64encode(f"{username.strip()}:{self._password.reveal()}".encode()).decode("ascii")
        return [("Authorization", f"Basic {token}")]

    async def _renew_password(self) -> None:
        given, used = self._password_of(), self._password
        secret = await given if isawaitable(given) else given
        self._password = as_sent(self._connection, secret) if secret is not None else None
        if used is not None and self._password != used:
            logger.info("%s: its password was changed, and the new one is used from now on", self._connection.name)
        self._password_until = self._clock.monotonic() + _PASSWORD_LIFE
