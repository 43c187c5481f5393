"""``python -m workers.standalone``: what `make run` starts."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping

from gateway.state.connect import ConnectError, connect
from gateway.telemetry import logs
from gateway.telemetry.environment import SettingsError, load
from workers.settings import WorkerSettings
from workers.standalone.child import Program
from workers.standalone.gateway import Address
from workers.standalone.home import Home
from workers.standalone.machine import Machine, Plan
from workers.standalone.problem import Problem
from workers.standalone.settings import StandaloneSettings
from workers.standalone.valkey import Valkey, embedded

BAD_SETTINGS = 2
_SECRETS = ("GOOGLE_API_KEY", "GOOGLE_API_KEY_FILE", "GEMINI_API_KEY", "GEMINI_API_KEY_FILE")
_SLACK_SECONDS = 5.0
"""What a child may take beyond its own deadline before it is killed."""


def main() -> int:
    """The exit code: 0 after Ctrl-C, 2 for settings that cannot be used, else 1 or that of the child that failed."""
    try:
        settings = load(StandaloneSettings, os.environ)
        offline = load(WorkerSettings, os.environ).offline
        if settings.redis_url:
            connect(settings.redis_url)
        logs.configure(settings.log_level, settings.log_format)
        asyncio.run(_machine(settings, os.environ, offline=offline).run())
    except SettingsError as error:
        return _refuse(str(error), BAD_SETTINGS)
    except ConnectError as error:
        return _refuse(f"REDIS_URL: {error}", BAD_SETTINGS)
    except Problem as problem:
        return _refuse(str(problem), problem.status)
    return 0


def _machine(settings: StandaloneSettings, environ: Mapping[str, str], *, offline: bool) -> Machine:
    home = Home(settings.home)
    address = Address(settings.host, settings.port)
    gateway_grace = settings.drain_seconds + _SLACK_SECONDS
    worker_grace = settings.grace_seconds + _SLACK_SECONDS

    def plan() -> Plan:
        own = None if settings.redis_url else embedded(home, _without_secrets(environ))
        all_of_it = _environ(settings, environ, own)
        return Plan(
            gateway=Program("gateway", _python("gateway"), _without_secrets(all_of_it), gateway_grace),
            worker=Program("worker", _python("workers"), {**all_of_it, **_next_port(settings)}, worker_grace),
            valkey=own,
        )

    def announce() -> None:
        print(f"\ngemini-gateway is ready:  {address.url}", flush=True)
        if offline:
            print("Without GOOGLE_API_KEY the offline stand-in model answers, not Gemini.", flush=True)
        if not settings.redis_url:
            print(f"Data is kept in {settings.data_dir}.", flush=True)
        print("Ctrl-C ends everything.\n", flush=True)

    return Machine(home, address, plan, announce=announce, orphan_grace=max(gateway_grace, worker_grace))


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _environ(settings: StandaloneSettings, environ: Mapping[str, str], own: Valkey | None) -> dict[str, str]:
    return {
        **{name: value for name, value in environ.items() if name != "REDIS_URL_FILE"},
        "REDIS_URL": own.url if own else settings.redis_url,
        "HOST": settings.host,
        "PORT": str(settings.port),
        "DRAIN_SECONDS": str(settings.drain_seconds),
        "DRAIN_NOTICE_SECONDS": "0",  # no balancer has to notice
        "GRACE_SECONDS": str(settings.grace_seconds),
    }


def _next_port(settings: StandaloneSettings) -> dict[str, str]:
    """Two processes of one machine cannot answer at the same port."""
    return {"METRICS_PORT": str(settings.metrics_port + 1 if settings.metrics_port else 0)}


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Only the worker has the key."""
    return {name: value for name, value in environ.items() if name not in _SECRETS}


def _refuse(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the loop hears it: nothing has been started yet
    sys.exit(main())
