"""Redis as this machine reaches it."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from gateway.check import policy
from gateway.state.connect import place
from gateway.state.errors import StateUnavailable
from gateway.state.server import Server
from gateway.telemetry.findings import Finding, fail, ok, warn

_SKEW = 2.0
"""Seconds between two clocks that people notice."""

_MENDS = {
    "AuthenticationError": "Set user and password in REDIS_URL, or REDIS_URL_FILE",
    "AuthenticationWrongNumberOfArgsError": "Set user and password in REDIS_URL, or REDIS_URL_FILE",
    "NoPermissionError": "Give its user the rights to all commands on keys and channels `gg1:*`",
    "BusyLoadingError": "Wait: it is reading its data from the disk",
}
_WAYS = {"redis": "without TLS", "rediss": "over TLS", "unix": "over a Unix socket"}
_MEND = "Does it run, and can this machine reach it? REDIS_URL names it; `make run` needs none and starts its own"


def unreachable(url: str, error: StateUnavailable) -> Finding:
    return fail("redis", f"{place(url)} cannot be used: {error}", _MENDS.get(str(error), _MEND))


async def findings(server: Server, url: str) -> AsyncIterator[Finding]:
    """Raises StateUnavailable when it cannot be reached (any more)."""
    await server.ping()
    yield ok("redis", f"{place(url)} answers, {_WAYS[urlsplit(url).scheme]}")
    info = await server.info()
    if info is None:
        yield warn(
            "version",
            "cannot tell version, persistence and memory: this server does not let us ask (INFO)",
            "See in its console that it is Redis 7.0 or newer, with AOF on and maxmemory-policy noeviction",
        )
    else:
        yield policy.version(info)
        config = await server.config("appendfsync")
        for finding in (
            *policy.role(info),
            *policy.persistence(info, config),
            *policy.memory(info),
            *policy.connections(info),
        ):
            yield finding
    yield clock(await server.ahead())


def clock(ahead: float) -> Finding:
    if abs(ahead) <= _SKEW:
        return ok("clock", f"the clocks of Redis and this machine are {abs(ahead):.2f} s apart")
    return warn(
        "clock",
        f"the clock of Redis is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's",
        "Let NTP set both: turns go by the server's alone, but times in answers, logs and metrics do not fit together",
    )
