"""Records the exchanges of a transport: each request, its response, and how long it took. Changes nothing."""

from collections.abc import Iterator

from msgspec import Struct

from busyd.clock import Clock
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.errors import RemoteError
from busyd.period import Instant, read_http_date
from busyd.remote.client import Sender
from busyd.remote.pages import is_web_page


class Exchange(Struct, frozen=True):
    """One request with its response, or with the error instead of one."""

    request: DavRequest
    response: DavResponse | None
    error: RemoteError | None
    seconds: float
    at: Instant
    """When the response was complete, by this machine's clock."""

    @property
    def status(self) -> int | None:
        return self.response.status if self.response is not None else None

    @property
    def request_id(self) -> str | None:
        """The id by which Apple's support can find the request."""
        return self.response.header("X-Apple-Request-UUID") if self.response is not None else None


class Observer:
    """A sender that records all exchanges of another one, oldest first."""

    def __init__(self, sender: Sender, clock: Clock) -> None:
        self.exchanges: list[Exchange] = []
        self._sender = sender
        self._clock = clock

    async def send(self, request: DavRequest) -> DavResponse:
        """Send with the other sender; raises what it raises."""
        before = self._clock.monotonic()
        try:
            response = await self._sender.send(request)
        except RemoteError as error:
            self._note(request, None, error=error, before=before)
            raise
        self._note(request, response, error=None, before=before)
        return response

    @property
    def last(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    def skew(self) -> int | None:
        """Seconds by which this machine's clock is ahead of the last Date header; None before there is one."""
        return next(self._skews(), None)

    def ended_on_a_web_page(self) -> bool:
        """Whether one of the last two responses, of which one is a second try, was a web page: a login page, or the
        wrong address."""
        responses = [exchange.response for exchange in self.exchanges[-2:]]
        return any(response.status < 400 and is_web_page(response.body) for response in responses if response)

    def _skews(self) -> Iterator[int]:
        for exchange in reversed(self.exchanges):
            date = read_http_date(exchange.response.header("Date")) if exchange.response is not None else None
            if date is not None:
                yield exchange.at - date

    def _note(
        self, request: DavRequest, response: DavResponse | None, *, error: RemoteError | None, before: float
    ) -> None:
        seconds = self._clock.monotonic() - before
        self.exchanges.append(Exchange(request, response, error, seconds, self._clock.now()))
