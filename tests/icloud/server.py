"""The simulated iCloud as a whole: its origins, its accounts, and the way of a request through all the rest."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self

from aiohttp import web

from tests.icloud import auth
from tests.icloud.accounts import Account
from tests.icloud.connections import Listener, connection_of
from tests.icloud.delivery import Manner, deliver
from tests.icloud.exchange import Call
from tests.icloud.feeds import Feed
from tests.icloud.gate import Gate
from tests.icloud.log import RequestLog
from tests.icloud.places import Places

ORIGINS = ("bootstrap", "shard", "other-shard", "feeds", "foreign")
DEFAULT_PASSWORD = "abcd-efgh-ijkl-mnop"


class SimulatedIcloud:
    """iCloud on loopback. Its accounts, feeds and log may be changed and read at any time, from any thread.

    `now` counts seconds; with a clock of your own, tombstones, lag and throttling follow it.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.accounts: dict[str, Account] = {}
        self.feeds: dict[str, Feed] = {}
        self.log = RequestLog()
        self.places = Places()
        self.now = now
        self.lock = threading.RLock()
        self._gate = Gate(self.places, self.feeds, now)
        self._runners: dict[str, web.ServerRunner] = {}
        self._ports: dict[str, int] = {}
        self._tls: ssl.SSLContext | None = None
        self._stopping = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def start(
        cls, *, first_port: int = 0, now: Callable[[], float] = time.monotonic, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        """Serve until the block ends. `first_port` 0 lets the kernel choose, else the ports are consecutive."""
        from tests.icloud.control import start_control

        icloud = cls(now=now)
        icloud._tls = tls
        try:
            for offset, origin in enumerate(ORIGINS):
                await icloud._listen(origin, first_port and first_port + offset)
            async with start_control(icloud, first_port and first_port + len(ORIGINS)) as address:
                icloud.places.control = address
                yield icloud
        finally:
            icloud._stopping.set()
            for runner in icloud._runners.values():
                await runner.cleanup()

    @classmethod
    @contextmanager
    def in_thread(cls, **options: object) -> Iterator[Self]:
        """The same for tests that have no event loop: the servers run in a thread of their own."""
        started: list[Self] = []
        ready, ended = threading.Event(), threading.Event()

        async def serve() -> None:
            async with cls.start(**options) as icloud:  # type: ignore[arg-type]
                started.append(icloud)
                ready.set()
                await asyncio.to_thread(ended.wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),), name="simulated-icloud", daemon=True)
        thread.start()
        if not ready.wait(timeout=10):
            raise TimeoutError("the simulated iCloud did not start")
        try:
            yield started[0]
        finally:
            ended.set()
            thread.join(timeout=10)

    @property
    def bootstrap_url(self) -> str:
        """What https://caldav.icloud.com/ is to the real one."""
        return self.places.bootstrap + "/"

    @property
    def shard_url(self) -> str:
        return self.places.shard + "/"

    @property
    def feeds_url(self) -> str:
        return self.places.feeds + "/"

    @property
    def foreign_url(self) -> str:
        """Somebody else's server: every request that arrives here is a fault of the client."""
        return self.places.foreign + "/"

    @property
    def control_url(self) -> str:
        return self.places.control + "/"

    def add_account(
        self,
        user: str,
        *,
        password: str = DEFAULT_PASSWORD,
        dsid: str | None = None,
        display_name: str = "",
        addresses: tuple[str, ...] = (),
    ) -> Account:
        """An account with inbox, outbox and notification, and no calendar yet."""
        account = Account(
            user=user,
            password=password,
            dsid=dsid or str(300000001 + len(self.accounts)),
            display_name=display_name or user.partition("@")[0].title(),
            now=self.now,
            lock=self.lock,
            addresses=list(addresses),
        )
        self.accounts[user.casefold()] = account
        return account

    def account(self, user: str) -> Account:
        return self.accounts[user.casefold()]

    def add_feed(self, path: str, text: str, *, content_type: str = "text/calendar") -> Feed:
        """Serve iCalendar text at a path of the feeds origin (`/holidays/de_de.ics`) and of the shard."""
        feed = Feed(path, self.places.feeds + path, text, content_type)
        self.feeds[path] = feed
        return feed

    async def stop_origin(self, origin: str) -> None:
        """Refuse connections there, and end those that are open."""
        await self._runners.pop(origin).cleanup()

    async def start_origin(self, origin: str) -> None:
        """Listen again, on the same port."""
        await self._listen(origin, self._ports[origin])

    async def _listen(self, origin: str, port: int) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._serve(origin, request)

        runner = web.ServerRunner(Listener(handle), shutdown_timeout=0.1)
        await runner.setup()
        tls = self._tls if origin not in ("feeds", "foreign") else None
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True).start()
        self._runners[origin] = runner
        self._ports[origin] = runner.addresses[0][1]
        address = f"{'https' if tls else 'http'}://127.0.0.1:{self._ports[origin]}"
        setattr(self.places, origin.replace("-", "_"), address)
        if origin == "foreign":  # the "private address" of the redirect traps
            await web.TCPSite(runner, "127.0.0.2", self._ports[origin], reuse_address=True).start()

    async def _serve(self, origin: str, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        connection.begin_request()
        body = await request.content.read()
        path = request.raw_path.partition("?")[0]
        call = Call(origin, request.headers.get("Host", ""), request.method, path, request.headers, body)
        credentials = auth.credentials_of(call.headers)
        account = self.accounts.get(credentials[0].casefold()) if credentials else None
        entry = self.log.begin(
            call, account=account.user if account else None, connection=connection.number, now=self.now()
        )
        if account is not None:
            account.throttle.in_flight += 1
        try:
            with self.lock:
                password = credentials[1] if credentials else ""
                answer, fault = self._gate.decide(call, account, password=password, reused=connection.served > 0)
            entry.fault = fault.kind if fault else ""
            if fault is not None and fault.kind in ("late", "again") and account is not None:
                asyncio.get_running_loop().call_later(fault.seconds, self._carry_out, call, account)
            response = await deliver(
                request, answer, fault=fault, origin=origin, manner=self._manner(call, account), stopping=self._stopping
            )
            entry.status = response.status if response.prepared else 0
            entry.answer_size = response.body_length if response.prepared else 0
            return response
        finally:
            self.log.end(entry, now=self.now())
            if account is not None:
                account.throttle.in_flight -= 1
            connection.end_request(account.knobs.idle_seconds if account else 0)

    def _carry_out(self, call: Call, account: Account) -> None:
        with self.lock:
            self._gate.carry_out(call, account)

    def _manner(self, call: Call, account: Account | None) -> Manner:
        if call.path in self.feeds:
            return Manner(gzip=True)
        return Manner(account.knobs.gzip, account.knobs.chunked) if account else Manner()
