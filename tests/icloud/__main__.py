"""`python -m tests.icloud`: the simulated iCloud on its own, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import json
import os
import signal
from datetime import UTC, date, datetime

from tests.icloud.live_on import live_on
from tests.icloud.realistic_account import PASSWORD, USER, build_realistic_account
from tests.icloud.server import SimulatedIcloud


def main() -> None:
    asyncio.run(_serve(_arguments().parse_args()))


def announcement(icloud: SimulatedIcloud) -> dict[str, object]:
    """Where everything is, and who may log in: the one JSON line of `--announce`."""
    accounts = [
        {"user": account.user, "password": account.password, "dsid": account.dsid}
        for account in icloud.accounts.values()
    ]
    return {
        "bootstrap_url": icloud.bootstrap_url,
        "shard_url": icloud.shard_url,
        "other_shard_url": icloud.places.other_shard + "/",
        "feeds_url": icloud.feeds_url,
        "foreign_url": icloud.foreign_url,
        "control_url": icloud.control_url,
        "accounts": accounts,
        "feeds": [feed.url for feed in icloud.feeds.values()],
        "pid": os.getpid(),
    }


async def _serve(wanted: argparse.Namespace) -> None:
    async with SimulatedIcloud.start(first_port=wanted.ports) as icloud:
        if wanted.realistic:
            anna = build_realistic_account(icloud, wanted.today, user=wanted.user, password=wanted.password)
        else:
            anna = icloud.add_account(wanted.user, password=wanted.password)
            anna.add_default_calendars()
        told = announcement(icloud)
        if wanted.announce:
            print(json.dumps(told), flush=True)
        else:
            print("\n".join(f"{name:16} {value}" for name, value in told.items()), flush=True)
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        life = None
        if wanted.live_on:
            life = asyncio.create_task(live_on(anna, every=wanted.live_on, say=lambda line: print(line, flush=True)))
        await ended.wait()
        if life is not None:
            life.cancel()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.icloud", description=__doc__)
    parser.add_argument("--realistic", action="store_true", help="fill the account with realistic data")
    parser.add_argument("--ports", type=int, default=0, metavar="FIRST", help="six ports from here; 0: any free ones")
    parser.add_argument("--announce", action="store_true", help="print one JSON line with the addresses")
    parser.add_argument("--live-on", type=float, default=0, metavar="SECONDS", help="make a change every so often")
    parser.add_argument("--today", type=date.fromisoformat, default=datetime.now(UTC).date(), metavar="YYYY-MM-DD")
    parser.add_argument("--user", default=USER)
    parser.add_argument("--password", default=PASSWORD)
    return parser


if __name__ == "__main__":
    main()
