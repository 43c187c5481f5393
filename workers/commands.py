"""What ``python -m workers`` does beside working, when it is given a word."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

from gateway.state.connect import ConnectError, connect
from gateway.state.errors import StateUnavailable
from gateway.telemetry.environment import SettingsError, load
from workers.admin import Admin
from workers.check import check
from workers.settings import WorkerSettings

_BAD_SETTINGS = 2
_PATIENCE = 3.0


def run(words: Sequence[str]) -> int:
    """The exit code: 0, 1 where the command could not do what it should, 2 for what it does not understand."""
    given = _parser().parse_args(words)
    match given.command:
        case "check":
            return check(os.environ, sys.stdout)
        case "queue":
            return _administer(lambda admin: admin.show(given.watch))
        case _:
            return _administer(lambda admin: admin.requeue(given.turn))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Without a command: one worker process.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="see whether a worker with these settings could answer")
    queue = commands.add_parser("queue", help="list the turns that wait or run")
    queue.add_argument("--watch", type=float, default=1.5, help="seconds in which a worker has to beat (default 1.5)")
    requeue = commands.add_parser("requeue", help="take a running turn from its worker and queue it again")
    requeue.add_argument("turn", help="the turn's id, or its first six digits and more")
    return parser


def _administer(act: Callable[[Admin], Awaitable[int]]) -> int:
    async def connected() -> int:
        redis = connect(load(WorkerSettings, os.environ).redis_url, timeout=_PATIENCE)
        try:
            return await act(Admin(redis, sys.stdout))
        finally:
            await redis.aclose()

    try:
        return asyncio.run(connected())
    except SettingsError as error:
        return _complain(str(error), _BAD_SETTINGS)
    except ConnectError as error:
        return _complain(f"REDIS_URL: {error}", _BAD_SETTINGS)
    except StateUnavailable as error:
        return _complain(f"Redis cannot be used: {error}. `python -m gateway check` says more.", 1)


def _complain(line: str, status: int) -> int:
    sys.stderr.write(f"{line}\n")
    return status
