"""Loads the Lua scripts and runs them, one at a time or many together."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from gateway.state.client import ask
from gateway.state.errors import StateUnavailable, unavailable_is_told
from gateway.state.line import Command

_USES = "-- uses: "

Argument = str | bytes | memoryview | int


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the digest by which Redis knows it: an older process's scripts stay where they are."""

    name: str
    text: str
    sha: str


class Call(msgspec.Struct, frozen=True):
    """One run of a script."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]

    def by_digest(self) -> Command:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    def by_text(self) -> Command:
        """For a server that does not know the script: not yet, or not after a flush."""
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.args)


Ask = Callable[[Call], Awaitable[Any]]
"""How a question is asked: as ``run`` does, or together with something else that its asker has to ask."""


@cache
def script(name: str) -> Script:
    """The operation's script; the shared functions that its first line may name (``-- uses: …``) are put before it."""
    folder = files("gateway.state.scripts")
    body = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    first, _, rest = body.partition("\n")
    used = first.removeprefix(_USES).split() if first.startswith(_USES) else []
    parts = [folder.joinpath("lib", f"{part}.lua").read_text(encoding="utf-8") for part in used]
    text = "".join([*parts, rest])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


async def run(redis: Redis, call: Call) -> Any:
    """Runs one script. Raises StateUnavailable."""
    [result] = await run_all(redis, [call])
    if isinstance(result, RedisError):
        raise StateUnavailable(type(result).__name__) from result
    return result


async def run_all(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Sends scripts together, in order; each result is its own: a reply, or the RedisError it got.

    From the first call on that met a server without its script, all are sent again: each may be repeated, and what a
    later one does may rest on it. Raises StateUnavailable when not all came back; any part of them may have been
    carried out then.
    """
    with unavailable_is_told():
        results = await ask(redis, [call.by_digest() for call in calls])
        missing = next((i for i, result in enumerate(results) if isinstance(result, NoScriptError)), None)
        if missing is not None:
            results[missing:] = await ask(redis, [call.by_text() for call in calls[missing:]])
    return results


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Fields and values, as scripts answer them."""
    each = iter(flat)
    return dict(zip(each, each, strict=True))


def failed(result: Any) -> bool:
    return isinstance(result, RedisError)
