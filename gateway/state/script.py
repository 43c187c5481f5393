"""Loads the Lua scripts and runs them, one at a time or many in one pipeline."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError, RedisError

from gateway.state.errors import unavailable_is_told

_USES = "-- uses: "

Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the digest by which Redis knows it: an older process's scripts stay where they are."""

    name: str
    text: str
    sha: str


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]


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
    """Runs one script; loads it where the server does not know it (yet, or after a flush). Raises StateUnavailable."""
    with unavailable_is_told():
        try:
            return await redis.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            return await redis.eval(call.script.text, len(call.keys), *call.keys, *call.args)


async def run_all(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Runs scripts in one pipeline, in order; each result is its own: a reply, or the RedisError it got.

    Calls that met a server without their script are run again in a second pipeline, in the same order. Raises
    StateUnavailable when the pipeline as a whole did not come back; any part of it may have been carried out then.
    """
    results = await _pipeline(redis, calls, by_sha=True)
    missing = [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]
    if missing:
        again = await _pipeline(redis, [calls[i] for i in missing], by_sha=False)
        for i, result in zip(missing, again, strict=True):
            results[i] = result
    return results


async def _pipeline(redis: Redis, calls: Sequence[Call], *, by_sha: bool) -> list[Any]:
    with unavailable_is_told():
        async with redis.pipeline(transaction=False) as pipe:
            for call in calls:
                add(pipe, call, by_sha=by_sha)
            return await pipe.execute(raise_on_error=False)


def add(pipe: Pipeline, call: Call, *, by_sha: bool) -> None:
    """Puts a call into a pipeline: by its digest, or with its whole text for a server that does not know it."""
    if by_sha:
        pipe.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
    else:
        pipe.eval(call.script.text, len(call.keys), *call.keys, *call.args)


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Fields and values, as scripts answer them."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def failed(result: Any) -> bool:
    return isinstance(result, RedisError)
