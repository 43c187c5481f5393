"""The gateway's composition root: every part is made here, once, and given what it needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from gateway import limits, problems
from gateway.answers import refusal
from gateway.drain import Drain, DrainTimes, Traffic
from gateway.edge import edge
from gateway.exchange import entrance
from gateway.framework import App, cors_for_pages
from gateway.guards.body import BodyGuard
from gateway.guards.cookie import CookiePolicy
from gateway.guards.form import FormRequest
from gateway.guards.gate import Gate
from gateway.guards.heading import Heading
from gateway.guards.origin import AllowedOrigins
from gateway.guards.protocol import ProtocolGuard
from gateway.guards.proxies import Proxies
from gateway.guards.rates import RateGuard
from gateway.guards.session import SessionGuard
from gateway.images.decoder import ImageDecoder
from gateway.lifetime import Lifetime
from gateway.metrics import GatewayMetrics
from gateway.problems import Problem
from gateway.queue_view import QueueView
from gateway.readiness import Readiness
from gateway.routes.chat import Chat
from gateway.routes.docs import Docs
from gateway.routes.event_stream import EventStreams, is_sent_away, jittered
from gateway.routes.health import Health
from gateway.routes.history import History
from gateway.routes.page import Page
from gateway.routes.session import SessionResource
from gateway.routes.stop import Stop
from gateway.routes.stream import Stream
from gateway.routes.text import Text
from gateway.routes.upload import Upload
from gateway.settings import GatewaySettings
from gateway.state.connect import Client, connect
from gateway.state.errors import StateError
from gateway.state.listener import Listener
from gateway.state.queue import Queue
from gateway.state.rates import Rates
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turnlog import TurnLog
from gateway.state.turns import TurnLimits, Turns
from gateway.streaming.relay import Pace, Relay
from gateway.telemetry.tracing import NoTracer, Tracer


@dataclass(frozen=True, slots=True)
class Gateway:
    """One replica, ready to be served."""

    app: Quart
    drain: Drain
    lifetime: Lifetime
    metrics: GatewayMetrics
    queue_view: QueueView


@dataclass(frozen=True, slots=True)
class _State:
    queue: Queue
    sessions: Sessions
    turns: Turns
    log: TurnLog
    rates: Rates


def create_app(settings: GatewaySettings, *, redis: Client | None = None) -> Quart:
    """An ASGI app for any server and for in-process tests. A ``redis`` that was given is the caller's to close."""
    return compose(settings, redis=redis).app


def compose(settings: GatewaySettings, *, redis: Client | None = None, tracer: Tracer | None = None) -> Gateway:
    """Raises ConnectError for a REDIS_URL that cannot be used. Connects to nothing yet."""
    metrics = GatewayMetrics()
    client = redis or connect(settings.redis_url)
    client.line.meter = metrics.vitals.redis
    state = _state(settings, client)
    relay = Relay(
        lambda: Listener.open(client),
        state.log,
        state.turns.end_overdue,
        Pace(heartbeat=settings.heartbeat_seconds, deadline=settings.turn_deadline),
        metrics.streams,
    )
    proxies = Proxies(settings.trusted_proxies)
    heading = Heading(AllowedOrigins.parse(settings.cors_origin))
    app = _quart(settings, proxies)
    bodies = BodyGuard(entrance(app, heading.complete), limits.body_limits(settings), proxies.client_of)
    traffic = Traffic(bodies)
    drain = Drain(DrainTimes(settings.drain_notice_seconds, settings.drain_seconds), traffic, relay.drain)
    readiness = Readiness(state.queue, drain)
    decoder = ImageDecoder(limits.image_limits(settings))
    _add_routes(app, settings, state, relay, readiness, decoder, metrics)
    trust_ids = settings.trusted_proxies > 0
    app.asgi_app = edge(  # type: ignore[method-assign,assignment]
        app, ProtocolGuard(traffic), metrics, tracer or NoTracer(), trust_ids=trust_ids
    )

    @asynccontextmanager
    async def live() -> AsyncIterator[None]:
        try:
            async with relay, decoder, asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(readiness.watch())
                readiness.started = True
                yield
                watch.cancel()
        finally:
            if redis is None:
                await client.aclose()

    lifetime = Lifetime(live, drain.begin)
    app.while_serving(lifetime.serving)
    return Gateway(app, drain, lifetime, metrics, QueueView(metrics.vitals, readiness.census))


def _state(settings: GatewaySettings, redis: Client) -> _State:
    queue = Queue(redis, limit=settings.queue_limit)
    of_sessions = SessionLimits(
        ttl=settings.session_ttl, image_bytes=settings.image_quota_bytes, image_count=settings.image_quota_count
    )
    of_turns = TurnLimits(
        deadline=settings.turn_deadline,
        log_ttl=settings.log_ttl,
        session_ttl=settings.session_ttl,
        history_turns=settings.history_kept_turns,
        rates=settings.session_rates,
    )
    return _State(
        queue, Sessions(redis, queue, of_sessions), Turns(redis, queue, of_turns), TurnLog(redis), Rates(redis)
    )


def _quart(settings: GatewaySettings, proxies: Proxies) -> Quart:
    """The framework with our guards and CORS, and no route yet."""
    app = App("gateway", static_folder=None)
    app.request_class = FormRequest
    app.config.update(
        MAX_CONTENT_LENGTH=None,  # These two are the body guard's.
        BODY_TIMEOUT=None,
        MAX_FORM_PARTS=settings.upload_max_files + 16,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        PROPAGATE_EXCEPTIONS=False,
    )
    allowed = AllowedOrigins.parse(settings.cors_origin)
    cookie = CookiePolicy(
        settings.cookie_name,
        settings.session_ttl,
        settings.cookie_secure,
        settings.cookie_samesite,
        settings.cookie_partitioned,
    )
    Gate(allowed, proxies, cookie).attach(app)
    cors_for_pages(
        app,
        allow_origin=sorted(allowed.named) or "*",
        allow_credentials=not allowed.any,
        allow_methods=["GET", "HEAD", "POST", "DELETE", "OPTIONS"],
        allow_headers=["Content-Type", "Last-Event-ID", "Idempotency-Key", "Cache-Control"],
        expose_headers=["X-Turn-Id", "X-Request-Id", "X-Finish-Reason", "Retry-After"],
        max_age=7200,
    )
    return app


def _add_routes(
    app: Quart,
    settings: GatewaySettings,
    state: _State,
    relay: Relay,
    readiness: Readiness,
    decoder: ImageDecoder,
    metrics: GatewayMetrics,
) -> None:
    rates = RateGuard(state.rates, limits.rate_limits(settings))
    rates.attach(app)
    guard = SessionGuard(state.sessions, rates)
    streams = EventStreams(relay, state.turns, jittered(settings.retry_milliseconds))
    for resource in (
        Health(readiness),
        Page.load(),
        Docs.load(settings),
        Text(rates, state.turns, relay, limits.text_limits(settings), on_begun=metrics.text_turns.inc),
        Upload(guard, state.sessions, decoder, metrics, max_files=settings.upload_max_files),
        Chat(
            guard,
            rates,
            state.sessions,
            state.turns,
            state.queue,
            streams,
            max_chars=settings.message_max_chars,
            on_begun=metrics.chat_turns.inc,
        ),
        Stream(guard, rates, state.turns, streams, on_begun=metrics.chat_turns.inc),
        Stop(guard, state.turns, relay, timeout=settings.stop_timeout),
        History(guard, state.sessions),
        SessionResource(guard, state.sessions, state.turns, state.queue, limits.told_limits(settings)),
    ):
        app.register_blueprint(resource.blueprint())

    async def refuse(problem: Problem) -> Response:
        metrics.refused(problem)
        return streams.come_back(request) if is_sent_away(problem, request) else refusal(problem)

    async def refuse_for_state(error: StateError) -> Response:
        return await refuse(problems.of_state(error))

    async def refuse_as_http(error: HTTPException) -> Response:
        return await refuse(problems.of_http(error))

    app.register_error_handler(Problem, refuse)
    app.register_error_handler(StateError, refuse_for_state)
    app.register_error_handler(HTTPException, refuse_as_http)
