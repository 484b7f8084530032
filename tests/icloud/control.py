"""The control API: everything a test in another process needs, as small JSON over HTTP. README.md lists it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar
from tests.icloud.faults import Fault

if TYPE_CHECKING:
    from tests.icloud.server import SimulatedIcloud

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def start_control(icloud: "SimulatedIcloud", port: int) -> AsyncIterator[str]:
    """Serve the control API on loopback; the address comes without a trailing slash."""
    app = web.Application(middlewares=[_explain_faults], client_max_size=64 * 1024 * 1024)
    app.add_routes(Control(icloud).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Control:
    """One method for each route; all of them are a line or two around the Python objects."""

    def __init__(self, icloud: "SimulatedIcloud") -> None:
        self.icloud = icloud

    def routes(self) -> list[web.RouteDef]:
        account, calendar = "/accounts/{user}", "/accounts/{user}/calendars/{id}"
        return [
            web.get("/", self.overview),
            web.post("/accounts", self.add_account),
            web.get(account + "/knobs", self.show_knobs),
            web.post(account + "/knobs", self.turn_knobs),
            web.delete(account + "/knobs", self.reset_knobs),
            web.post(account + "/faults", self.play_fault),
            web.delete(account + "/faults", self.clear_faults),
            web.post(account + "/password", self.change_password),
            web.post(account + "/migrate", self.migrate),
            web.get(account + "/mails", self.show_mails),
            web.get(account + "/calendars", self.list_calendars),
            web.post(account + "/calendars", self.add_calendar),
            web.patch(calendar, self.change_calendar),
            web.delete(calendar, self.remove_calendar),
            web.post(calendar + "/housekeeping", self.housekeeping),
            web.post(calendar + "/expire-tokens", self.expire_tokens),
            web.get(calendar + "/objects", self.list_objects),
            web.get(calendar + "/objects/{name}", self.show_object),
            web.put(calendar + "/objects/{name}", self.put_object),
            web.delete(calendar + "/objects/{name}", self.delete_object),
            web.put("/feeds/{path:.+}", self.put_feed),
            web.post("/feeds/{path:.+}/faults", self.play_feed_fault),
            web.get("/log", self.show_log),
            web.get("/log/summary", self.summarise_log),
            web.post("/log/clear", self.clear_log),
            web.post("/origins/{origin}/stop", self.stop_origin),
            web.post("/origins/{origin}/start", self.start_origin),
        ]

    async def overview(self, _: web.Request) -> web.Response:
        accounts = [account.user for account in self.icloud.accounts.values()]
        return _json({"places": asdict(self.icloud.places), "accounts": accounts, "feeds": list(self.icloud.feeds)})

    async def add_account(self, request: web.Request) -> web.Response:
        given = await _body(request)
        if isinstance(given.get("addresses"), list):
            given["addresses"] = tuple(given["addresses"])
        account = self.icloud.add_account(**given)
        return _json({"user": account.user, "dsid": account.dsid, "password": account.password}, status=201)

    async def show_knobs(self, request: web.Request) -> web.Response:
        return _json(self._account(request).knobs.as_json())

    async def turn_knobs(self, request: web.Request) -> web.Response:
        self._account(request).knobs.apply(await _body(request))
        return await self.show_knobs(request)

    async def reset_knobs(self, request: web.Request) -> web.Response:
        self._account(request).knobs.reset()
        return await self.show_knobs(request)

    async def play_fault(self, request: web.Request) -> web.Response:
        fault = Fault(**await _body(request))
        self._account(request).knobs.faults.add(fault)
        return _json(asdict(fault), status=201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._account(request).knobs.faults.clear()
        return web.Response(status=204)

    async def change_password(self, request: web.Request) -> web.Response:
        account = self._account(request)
        account.password = (await _body(request))["password"]
        account.knobs.revoked = False
        return web.Response(status=204)

    async def migrate(self, request: web.Request) -> web.Response:
        account = self._account(request)
        account.migrate()
        return _json({"shard": account.shard})

    async def show_mails(self, request: web.Request) -> web.Response:
        account = self._account(request)
        shares = dict(account.share_notifications)
        return _json({"mails": [asdict(mail) for mail in account.mails], "share_notifications": shares})

    async def list_calendars(self, request: web.Request) -> web.Response:
        return _json([_shown(calendar) for calendar in self._account(request).calendars.values()])

    async def add_calendar(self, request: web.Request) -> web.Response:
        given = await _body(request)
        if isinstance(given.get("components"), list):
            given["components"] = tuple(given["components"])
        return _json(_shown(self._account(request).add_calendar(**given)), status=201)

    async def change_calendar(self, request: web.Request) -> web.Response:
        """Name, colour, transparency or access."""
        calendar, given = self._calendar(request), await _body(request)
        unknown = set(given) - {"name", "color", "transparent", "access"}
        if unknown:
            message = f"a calendar's {', '.join(unknown)} cannot be changed"
            raise ValueError(message)
        for name, value in given.items():
            setattr(calendar, name, value)
        calendar.touch_collection()
        return _json(_shown(calendar))

    async def remove_calendar(self, request: web.Request) -> web.Response:
        self._account(request).remove_calendar(request.match_info["id"])
        return web.Response(status=204)

    async def housekeeping(self, request: web.Request) -> web.Response:
        self._calendar(request).housekeeping()
        return web.Response(status=204)

    async def expire_tokens(self, request: web.Request) -> web.Response:
        self._calendar(request).expire_tokens()
        return web.Response(status=204)

    async def list_objects(self, request: web.Request) -> web.Response:
        objects = self._calendar(request).objects().values()
        return _json([{"name": stored.name, "etag": stored.etag, "uid": stored.uid} for stored in objects])

    async def show_object(self, request: web.Request) -> web.Response:
        stored = self._calendar(request).get(request.match_info["name"])
        if stored is None:
            raise KeyError(request.match_info["name"])
        return web.Response(body=stored.text.encode(), content_type="text/calendar", headers={"ETag": stored.etag})

    async def put_object(self, request: web.Request) -> web.Response:
        stored = self._calendar(request).put(request.match_info["name"], (await request.read()).decode())
        return _json({"name": stored.name, "etag": stored.etag, "uid": stored.uid}, status=201)

    async def delete_object(self, request: web.Request) -> web.Response:
        self._calendar(request).delete(request.match_info["name"])
        return web.Response(status=204)

    async def put_feed(self, request: web.Request) -> web.Response:
        path, text = "/" + request.match_info["path"], (await request.read()).decode()
        feed = self.icloud.feeds.get(path)
        if feed is None:
            feed = self.icloud.add_feed(path, text)
        else:
            feed.replace(text)
        return _json({"url": feed.url, "webcal_url": feed.webcal_url})

    async def play_feed_fault(self, request: web.Request) -> web.Response:
        fault = Fault(**await _body(request))
        self.icloud.feeds["/" + request.match_info["path"]].faults.add(fault)
        return _json(asdict(fault), status=201)

    async def show_log(self, request: web.Request) -> web.Response:
        """Filtered by any of account, method, path, origin, report in the query."""
        allowed = {"account", "method", "path", "origin", "report"}
        wanted = {name: value for name, value in request.query.items() if name in allowed}
        return _json([entry.as_json() for entry in self.icloud.log.requests(**wanted)])

    async def summarise_log(self, request: web.Request) -> web.Response:
        return _json(self.icloud.log.summary(request.query.get("account")))

    async def clear_log(self, _: web.Request) -> web.Response:
        self.icloud.log.clear()
        return web.Response(status=204)

    async def stop_origin(self, request: web.Request) -> web.Response:
        await self.icloud.stop_origin(request.match_info["origin"])
        return web.Response(status=204)

    async def start_origin(self, request: web.Request) -> web.Response:
        await self.icloud.start_origin(request.match_info["origin"])
        return web.Response(status=204)

    def _account(self, request: web.Request) -> Account:
        return self.icloud.account(request.match_info["user"])

    def _calendar(self, request: web.Request) -> Calendar:
        return self._account(request).calendars[request.match_info["id"]]


@web.middleware
async def _explain_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except KeyError as missing:
        return _json({"error": f"there is no {missing}"}, status=404)
    except (ValueError, TypeError) as fault:
        return _json({"error": str(fault)}, status=400)


async def _body(request: web.Request) -> dict[str, Any]:
    given = json.loads(await request.read() or b"{}")
    if not isinstance(given, dict):
        raise TypeError("the body is to be a JSON object")
    return given


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


def _shown(calendar: Calendar) -> dict[str, object]:
    return {
        "id": calendar.id,
        "name": calendar.name,
        "kind": calendar.kind,
        "components": calendar.components,
        "color": calendar.color,
        "shared": calendar.shared,
        "access": calendar.access,
        "transparent": calendar.transparent,
        "source": calendar.subscribed_source,
        "objects": len(calendar.objects()),
    }
