"""Everything tunable about a gateway: one environment variable each, named like the field in capitals."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.guards.origin import AllowedOrigins
from gateway.state.rates import Rate
from gateway.state.turns import TOKENS
from gateway.telemetry.environment import SECRET
from gateway.telemetry.logs import Format, Level

_RATES = (
    "rate_session_requests",
    "rate_address_requests",
    "rate_address_sessions",
    "rate_session_turns",
    "rate_session_turns_daily",
    "rate_session_tokens",
)

MIB = 1024 * 1024


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """Frozen and checked; ``gateway.telemetry.environment.load`` reads it and names the variable that is wrong."""

    redis_url: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where sessions and turns live: `redis://`, `rediss://` or `unix://`"
            " (`REDIS_URL_FILE`: a file with it)",
            extra=SECRET,
        ),
    ] = "redis://127.0.0.1:6379/0"
    host: Annotated[str, Meta(min_length=1, description="The address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="The port to listen on")] = 5000
    trusted_proxies: Annotated[
        int, Meta(ge=0, le=16, description="How many proxies in front are believed about client address and TLS")
    ] = 0

    cors_origin: Annotated[
        str, Meta(description="Origins that may call with cookies, comma-separated; `*`: any origin, without cookies")
    ] = "*"
    cookie_name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,40}$", description="Name of the session cookie; over TLS `__Host-` goes before"
        ),
    ] = "gateway_session"
    cookie_secure: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            description="Whether the cookie is Secure; `auto`: when the request came over TLS, as trusted proxies tell"
        ),
    ] = "auto"
    cookie_samesite: Annotated[
        Literal["Lax", "Strict", "None"],
        Meta(description="SameSite of the cookie; `None` (TLS only) for a frontend on another site"),
    ] = "Lax"
    cookie_partitioned: Annotated[
        bool, Meta(description="Partitioned (CHIPS) cookie, TLS only, for a frontend on another site")
    ] = False

    session_ttl: Annotated[int, Meta(gt=0, description="Seconds after which an idle session is forgotten")] = 7 * 86400
    history_kept_turns: Annotated[int, Meta(gt=0, le=10_000, description="Turns that a session's history keeps")] = 100
    log_ttl: Annotated[int, Meta(gt=0, description="Seconds that an ended turn's log can still be resumed")] = 600
    turn_deadline: Annotated[int, Meta(gt=0, description="Seconds after which a turn is ended as failed")] = 600
    queue_limit: Annotated[int, Meta(gt=0, description="Waiting turns beyond which new ones are refused")] = 1000
    stop_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that `POST /stop` waits for the worker before it ends the turn itself")
    ] = 5.0

    rate_session_requests: Annotated[str, Meta(description="Requests of one session: events/seconds, or `off`")] = (
        "300/60"
    )
    rate_address_requests: Annotated[
        str, Meta(description="Requests of one client address (IPv6: one /64 network)")
    ] = "3000/60"
    rate_address_sessions: Annotated[str, Meta(description="New sessions of one client address")] = "300/3600"
    rate_session_turns: Annotated[str, Meta(description="Turns that one session begins, in the short run")] = "30/60"
    rate_session_turns_daily: Annotated[str, Meta(description="Turns that one session begins, in the long run")] = (
        "2000/86400"
    )
    rate_session_tokens: Annotated[
        str, Meta(description="Tokens that one session's turns use, as Gemini counts them")
    ] = "5000000/86400"

    message_max_chars: Annotated[int, Meta(gt=0, description="Longest message of `POST /chat`")] = 32_000
    prompt_max_chars: Annotated[int, Meta(gt=0, description="Longest prompt of `POST /generate_text`")] = 100_000
    text_mime_type: Annotated[
        str,
        Meta(
            pattern=r"^[a-z]+/[a-z0-9.+-]+$", description="What `POST /generate_text` answers when not told otherwise"
        ),
    ] = "application/json"
    schema_max_bytes: Annotated[int, Meta(gt=0, description="Largest `response_schema`, as JSON")] = 16_384
    schema_max_depth: Annotated[int, Meta(gt=0, le=200, description="Deepest nesting of a `response_schema`")] = 32

    upload_max_bytes: Annotated[int, Meta(gt=0, description="Largest `POST /upload`, all its files together")] = (
        20 * MIB
    )
    upload_max_files: Annotated[int, Meta(gt=0, le=1000, description="Most files in one upload")] = 8
    image_max_pixels: Annotated[int, Meta(gt=0, description="Most pixels of an image as uploaded")] = 50_000_000
    image_max_side: Annotated[int, Meta(gt=0, description="Pixels to which an image's longer side is scaled down")] = (
        3072
    )
    image_max_frames: Annotated[int, Meta(gt=0, description="Most frames of an animation; the first one is used")] = (
        1000
    )
    image_quota_bytes: Annotated[int, Meta(gt=0, description="Bytes of images that a session may hold")] = 64 * MIB
    image_quota_count: Annotated[int, Meta(gt=0, description="Images that a session may hold")] = 64

    body_timeout: Annotated[float, Meta(gt=0, description="Seconds that a request's body may take, at least")] = 20.0
    body_min_rate: Annotated[
        int, Meta(gt=0, description="Bytes that earn a body one more second beyond `BODY_TIMEOUT`")
    ] = 16_384
    body_budget_bytes: Annotated[
        int, Meta(gt=0, description="Bytes that all bodies on their way in may hold together; more are refused (503)")
    ] = 256 * MIB
    body_limit: Annotated[
        int, Meta(gt=0, description="Unfinished bodies of one client address at a time; more are refused (503)")
    ] = 64
    heartbeat_seconds: Annotated[float, Meta(gt=0, description="Silence after which a stream gets a comment")] = 15.0
    retry_milliseconds: Annotated[
        int, Meta(gt=0, description="How soon a browser's EventSource comes back (jittered)")
    ] = 1000

    drain_notice_seconds: Annotated[
        float, Meta(ge=0, description="How long it serves on at SIGTERM while `/readyz` says 503")
    ] = 5.0
    drain_seconds: Annotated[float, Meta(gt=0, description="Seconds from SIGTERM to the end, whatever is open")] = 25.0

    metrics_host: Annotated[str, Meta(min_length=1, description="The address at which `GET /metrics` is answered")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="The port at which `GET /metrics` is answered, and nothing else; 0: none")
    ] = 0
    log_level: Annotated[Level, Meta(description="The least important level that is logged")] = "info"
    log_format: Annotated[
        Format, Meta(description="`console` for people, `json` for machines, `auto`: by whether it is a terminal")
    ] = "auto"

    def __post_init__(self) -> None:
        for name in _RATES:
            try:
                Rate.parse(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name.upper()}: {error}") from None
        try:
            AllowedOrigins.parse(self.cors_origin)
        except ValueError as error:
            raise ValueError(f"CORS_ORIGIN: {error}") from None
        if self.cookie_name.lower().startswith(("__host-", "__secure-")):
            raise ValueError("COOKIE_NAME: without prefix; `__Host-` is put before it over TLS")
        if self.cookie_secure == "never" and (self.cookie_samesite == "None" or self.cookie_partitioned):
            raise ValueError("COOKIE_SECURE: browsers refuse SameSite=None and Partitioned without Secure")
        if self.drain_notice_seconds >= self.drain_seconds:
            raise ValueError("DRAIN_NOTICE_SECONDS: must be below DRAIN_SECONDS")

    @property
    def session_rates(self) -> dict[str, Rate]:
        """What one session's turns may do, by the name of the policy."""
        rates = {
            "turns_a_minute": Rate.parse(self.rate_session_turns),
            "turns_a_day": Rate.parse(self.rate_session_turns_daily),
            TOKENS: Rate.parse(self.rate_session_tokens),
        }
        return {name: rate for name, rate in rates.items() if rate is not None}

    def __repr__(self) -> str:
        # A Redis URL holds a password.
        return "GatewaySettings(...)"
