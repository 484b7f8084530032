"""The raw download: the requests of a full sync, two at a time, with every body dropped.

`python -m tests.bench.download PORT CALENDARS OBJECTS` prints, as JSON, the seconds of CPU and the megabytes it took.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp

BATCH = 50
IN_FLIGHT = 2
_LISTING = b'<propfind xmlns="DAV:"><prop><sync-token/></prop></propfind>'
_SYNC = b'<sync-collection xmlns="DAV:"><sync-token/><sync-level>1</sync-level></sync-collection>'
_MULTIGET = '<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">{}</C:calendar-multiget>'


async def download(port: int, calendars: int, *, objects: int) -> None:
    """Everything once: listing, the members of each calendar, the objects in batches."""
    base = f"http://127.0.0.1:{port}"
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

        async def ask(method: str, path: str, *, body: bytes, depth: str) -> None:
            async with gate, session.request(method, base + path, data=body, headers={"Depth": depth}) as answer:
                await answer.read()

        await ask("PROPFIND", "/anna/", body=_LISTING, depth="1")
        for calendar in range(calendars):
            home = f"/anna/{calendar}/"
            await ask("REPORT", home, body=_SYNC, depth="0")
            hrefs = [f"<href>{home}{number}.ics</href>" for number in range(calendar, objects, calendars)]
            batches = (hrefs[at : at + BATCH] for at in range(0, len(hrefs), BATCH))
            bodies = (_MULTIGET.format("".join(batch)).encode() for batch in batches)
            await asyncio.gather(*(ask("REPORT", home, body=body, depth="1") for body in bodies))


def main() -> None:
    port, calendars, objects = (int(one) for one in sys.argv[1:])
    asyncio.run(download(port, calendars, objects=objects))
    # Not ru_maxrss: that also holds what the parent had when it forked.
    (highest,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"cpu": time.process_time(), "memory": int(highest.split()[1]) / 1024}))


if __name__ == "__main__":
    main()
