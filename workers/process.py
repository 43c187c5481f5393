"""One worker's process, from settings to a drained end."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable
from urllib.parse import urlsplit

import structlog
import uvloop

from gateway.state.connect import Client, ConnectError, connect
from gateway.state.ids import new_worker_id
from gateway.state.queue import Queue
from gateway.state.records import About
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turnlog import TurnLog
from gateway.state.turns import TurnLimits, Turns
from gateway.state.wakeups import Wakeups
from gateway.telemetry import exposition, garbage, logs
from gateway.telemetry.environment import SettingsError, load
from gateway.telemetry.tracing import open_tracer
from gateway.telemetry.vitals import product_version
from workers.departures import Departures
from workers.drain import Drain
from workers.holds import Holds
from workers.journal import Journal
from workers.lease import Lease
from workers.metrics import WorkerMetrics
from workers.model import Model
from workers.pool import Pool, PoolLimits
from workers.settings import WorkerSettings
from workers.sweep import Sweeper
from workers.turn import Means, TurnRun
from workers.wake import listen
from workers.watch import Watch

LAST_SPANS_SECONDS = 2.0
GEMINI = "https://generativelanguage.googleapis.com"

_log = structlog.get_logger(__name__)


def main() -> int:
    try:
        settings = load(WorkerSettings, os.environ)
        logs.configure(settings.log_level, settings.log_format)
        redis = connect(settings.redis_url)
        tracer = open_tracer("gemini-worker", os.environ)
        scraped = exposition.listen(settings.metrics_host, settings.metrics_port)
    except SettingsError as error:
        return _refuse(str(error))
    except ConnectError as error:
        return _refuse(f"REDIS_URL: {error}")
    metrics = WorkerMetrics(
        model=settings.gemini_model_type, offline=settings.offline, capacity=settings.worker_concurrency
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            _exposed(
                serve(settings, redis, Drain(), Watch(metrics, tracer, upstream=_upstream(settings))), metrics, scraped
            )
        )
    tracer.close(LAST_SPANS_SECONDS)
    return 0


async def _exposed(work: Awaitable[None], metrics: WorkerMetrics, scraped: socket.socket | None) -> None:
    """Metrics are answered until the last turn has ended."""
    async with exposition.served(scraped, metrics.vitals):
        await work


def _refuse(line: str) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return 2


async def serve(settings: WorkerSettings, redis: Client, drain: Drain, watch: Watch) -> None:
    """Puts the worker together and runs it until it has drained.

    The order of its end: say that it takes no more turns and claim none, let turns finish, put back the rest; only then
    stop beating and writing; then resign, and close the connections to the upstream and to Redis.
    """
    worker = new_worker_id()
    queue = Queue(redis)
    turns = Turns(redis, queue, TurnLimits())
    holds = Holds(turns)
    metrics = watch.metrics
    redis.line.meter = metrics.vitals.redis
    journal = Journal(TurnLog(redis), buffer=settings.answer_buffer_bytes, on_commit=metrics.committed)
    departures = Departures(queue)
    about = About(settings.gemini_model_type, settings.offline, settings.worker_concurrency, product_version())
    model = _model(settings)
    means = Means(
        sessions=Sessions(redis, queue, SessionLimits()),
        turns=turns,
        departures=departures,
        journal=journal,
        model=model,
        budget=settings.budget,
        policy=settings.retry_policy,
        answer_max_bytes=settings.answer_max_bytes,
        offline=settings.offline,
        watch=watch,
    )
    limits = PoolLimits(
        concurrency=settings.worker_concurrency,
        claims=settings.turn_attempts,
        grace=settings.grace_seconds,
        history_turns=settings.history_turns,
    )
    sweeper = Sweeper(
        queue,
        turns,
        worker,
        lease=settings.lease_seconds,
        own=lambda ref: ref in holds or ref in departures,
        on_takeover=metrics.took_over,
    )
    pool = Pool(worker, queue, turns, holds, lambda hold: TurnRun(means, hold).run(), limits, let_go=sweeper.look_anew)
    metrics.running = lambda: pool.running

    def words_missed() -> None:
        holds.doubt()
        sweeper.look_at_all_anew()

    def touch_lost() -> None:
        holds.doubt()
        sweeper.begin_anew()

    lease = Lease(queue, worker, about, lease=settings.lease_seconds, on_doubt=touch_lost)
    garbage.settle()
    _log.info("worker started", worker=worker, model=about.model, offline=about.offline, turns=about.concurrency)
    with drain.on_signals():
        async with asyncio.TaskGroup() as services:
            running = [
                services.create_task(journal.run()),
                services.create_task(departures.run()),
                services.create_task(holds.run()),
                services.create_task(sweeper.run()),
                services.create_task(lease.run(drain.begun)),
                services.create_task(
                    listen(Wakeups(redis), worker, patience=lease.patience, on_word=holds.nudge, on_doubt=words_missed)
                ),
            ]
            await pool.run(drain)
            for service in running:
                service.cancel()
        await departures.flush()
        await lease.resign()
        await model.aclose()
        await redis.aclose()
    _log.info("worker ended", worker=worker)


def _upstream(settings: WorkerSettings) -> str:
    """The model's host, for traces; empty for the offline model."""
    return "" if settings.offline else urlsplit(settings.google_gemini_base_url or GEMINI).hostname or ""


def _model(settings: WorkerSettings) -> Model:
    """The SDK takes seconds to import, and the offline model does without it."""
    if settings.offline:
        from workers.offline import OfflineModel  # noqa: PLC0415

        _log.warning("no GOOGLE_API_KEY: the offline stand-in model answers, not Gemini")
        return OfflineModel(settings.offline_chunk_delay)
    from workers.gemini import GeminiModel  # noqa: PLC0415

    return GeminiModel(settings)
