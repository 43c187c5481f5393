"""``python -m workers check``: whether a worker with these settings could answer. Changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TextIO

from gateway.state.connect import Client, ConnectError, connect, place
from gateway.state.errors import StateUnavailable
from gateway.state.server import Server
from gateway.telemetry.environment import SettingsError, load
from gateway.telemetry.findings import Finding, fail, ok, tell, warn
from gateway.telemetry.given import given
from workers.catalogue import look_up
from workers.model import Fault, GenerationError
from workers.settings import WorkerSettings

_PATIENCE = 3.0

_REACH = "Can this machine reach it (firewall, HTTPS_PROXY)? GOOGLE_GEMINI_BASE_URL names another address"
_MENDS = {
    Fault.UNAUTHORIZED: "Make a key at https://aistudio.google.com/apikey and set GOOGLE_API_KEY",
    Fault.NOT_FOUND: "Correct GEMINI_MODEL_TYPE or GEMINI_FALLBACK_MODELS",
    Fault.UNAVAILABLE: _REACH,
    Fault.TIMEOUT: _REACH,
    Fault.RATE_LIMITED: "Look at the quota of the key's project",
}
_MEND = "Does GOOGLE_GEMINI_BASE_URL lead to the Gemini API?"


def check(environ: Mapping[str, str], output: TextIO) -> int:
    """Writes a line for each finding; the exit code: 1 if anything failed."""

    async def gather() -> list[Finding]:
        return [finding async for finding in findings(environ)]

    return tell(asyncio.run(gather()), output)


async def findings(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    try:
        settings = load(WorkerSettings, environ)
        redis = connect(settings.redis_url, timeout=_PATIENCE)
    except SettingsError as error:
        yield fail("settings", str(error), "Correct it; nothing else was looked at")
        return
    except ConnectError as error:
        yield fail("settings", f"REDIS_URL: {error}", "Correct it; nothing else was looked at")
        return
    yield ok("settings", f"a worker can use them: {given(WorkerSettings, environ)}")
    yield await _redis(redis, settings.redis_url)
    if settings.offline:
        yield warn("key", "there is none: the offline stand-in model answers, not Gemini", "Set GOOGLE_API_KEY")
        return
    for model in settings.models:
        yield await _model(settings, model)


async def _redis(redis: Client, url: str) -> Finding:
    try:
        await Server(redis).ping()
    except StateUnavailable as error:
        return fail("redis", f"{place(url)} cannot be used: {error}", "`python -m gateway check` says more")
    finally:
        await redis.aclose()
    return ok("redis", f"{place(url)} answers")


async def _model(settings: WorkerSettings, model: str) -> Finding:
    about = "key" if model == settings.gemini_model_type else "fallback"
    try:
        entry = await look_up(settings, model)
    except GenerationError as error:
        finding = warn if error.code is Fault.RATE_LIMITED else fail
        return finding(about, f"{model}: {error.code}: {error.detail}", _MENDS.get(error.code, _MEND))
    if not entry.answers:
        return fail(about, f"{model}: Gemini knows it, and it answers no messages", _MENDS[Fault.NOT_FOUND])
    return ok(about, f"{model}: Gemini takes the key and knows the model")
