"""Everything tunable about a worker: one environment variable each, named like the field in capitals."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.telemetry.environment import SECRET
from gateway.telemetry.logs import Format, Level
from workers.prompt import Budget
from workers.retry import RetryPolicy

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")

Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(gt=0)]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """Frozen and checked; ``gateway.telemetry.environment.load`` reads it and names the variable that is wrong."""

    google_api_key: Annotated[
        str,
        Meta(
            description="The Gemini API key (or `GOOGLE_API_KEY_FILE`: a file with it); without one the offline model "
            "answers",
            extra=SECRET,
        ),
    ] = ""
    gemini_api_key: Annotated[
        str,
        Meta(
            description="Another name for it (or `GEMINI_API_KEY_FILE`), used where GOOGLE_API_KEY is not set",
            extra=SECRET,
        ),
    ] = ""
    gemini_model_type: Annotated[str, Meta(description="The Gemini model that answers")] = "gemini-2.5-flash"
    gemini_fallback_models: Annotated[
        tuple[str, ...], Meta(description="Models to ask, in this order, when that one stays away (comma-separated)")
    ] = ()
    gemini_system_instruction: Annotated[str, Meta(description="System instruction of every conversation")] = ""
    gemini_temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="Sampling temperature, 0 to 2")
    ] = None
    gemini_top_p: Annotated[Fraction | None, Meta(description="Nucleus sampling, 0 to 1")] = None
    gemini_top_k: Annotated[Positive | None, Meta(description="Tokens that are considered at each step")] = None
    gemini_max_output_tokens: Annotated[Positive | None, Meta(description="Longest answer, in tokens")] = None
    gemini_thinking_budget: Annotated[
        Annotated[int, Meta(ge=-1)] | None, Meta(description="Tokens for thinking; 0: none, -1: the model decides")
    ] = None
    google_gemini_base_url: Annotated[str, Meta(description="Where the Gemini API is, if not at Google's address")] = ""

    gemini_reader: Annotated[
        Literal["direct", "sdk"],
        Meta(description="Gemini is called below the SDK's models, at a fraction of the CPU time, or its public way"),
    ] = "direct"

    gemini_connect_timeout: Annotated[float, Meta(gt=0, description="Seconds that connecting to Gemini may take")] = (
        10.0
    )
    gemini_first_chunk_timeout: Annotated[
        float, Meta(gt=0, description="Seconds of silence before an answer's first chunk")
    ] = 60.0
    gemini_chunk_timeout: Annotated[
        float, Meta(gt=0, description="Seconds of silence between two chunks; long, as thinking can be silent")
    ] = 120.0

    retry_limit: Annotated[int, Meta(gt=0, description="Calls to one model before its fallback is asked")] = 4
    retry_total_seconds: Annotated[
        float, Meta(ge=0, description="Seconds a turn may spend on failed calls and waits before a model is given up")
    ] = 30.0
    attempt_limit: Annotated[int, Meta(gt=0, description="Attempts when answers break off after their first text")] = 3

    history_turns: Annotated[int, Meta(ge=0, description="Former turns that go to Gemini with a message, at most")] = 50
    history_tokens: Annotated[
        int, Meta(ge=0, description="Tokens (estimated) of former turns that go along, at most")
    ] = 100_000
    history_image_turns: Annotated[
        int, Meta(ge=0, description="Former turns with images that still send them; older ones leave a note")
    ] = 5
    history_image_bytes: Annotated[
        int, Meta(ge=0, description="Bytes of images, a message's own included, up to which former turns send theirs")
    ] = 12 * 1024 * 1024
    answer_max_bytes: Annotated[int, Meta(gt=0, description="Longest answer, in bytes of UTF-8")] = 1024 * 1024

    answer_buffer_bytes: Annotated[
        int, Meta(gt=0, description="Unwritten bytes of an answer (Redis away) beyond which Gemini is read no further")
    ] = 256 * 1024

    redis_url: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where sessions and turns live: `redis://`, `rediss://` or `unix://`"
            " (`REDIS_URL_FILE`: a file with it)",
            extra=SECRET,
        ),
    ] = "redis://127.0.0.1:6379/0"
    worker_concurrency: Annotated[int, Meta(gt=0, description="Turns that one worker runs at once")] = 64
    lease_seconds: Annotated[
        float, Meta(gt=0, description="How long a worker that died keeps its turns from the others")
    ] = 2.5
    turn_attempts: Annotated[int, Meta(gt=0, description="Workers that may die of one turn before it fails")] = 3
    grace_seconds: Annotated[
        float, Meta(ge=0, description="Seconds from SIGTERM in which running turns may end; the rest is handed over")
    ] = 20.0

    offline_chunk_delay: Annotated[float, Meta(ge=0, description="Seconds between the offline model's chunks")] = 0.02

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
        if not _MODEL_NAME.fullmatch(self.gemini_model_type):
            raise ValueError("GEMINI_MODEL_TYPE: Expected a model's name, such as gemini-2.5-flash")
        if not all(_MODEL_NAME.fullmatch(model) for model in self.gemini_fallback_models):
            raise ValueError("GEMINI_FALLBACK_MODELS: Expected models' names with commas between them")
        for variable, key in (("GOOGLE_API_KEY", self.google_api_key), ("GEMINI_API_KEY", self.gemini_api_key)):
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise ValueError(f"{variable}: Expected a key of printable ASCII characters without spaces")
        if self.google_gemini_base_url and not _is_base_url(self.google_gemini_base_url):
            raise ValueError("GOOGLE_GEMINI_BASE_URL: Expected an address like https://host[:port][/path]")

    @property
    def api_key(self) -> str:
        return self.google_api_key or self.gemini_api_key

    @property
    def offline(self) -> bool:
        """There is no key, so the offline stand-in model answers."""
        return not self.api_key

    @property
    def models(self) -> tuple[str, ...]:
        """The model, then its fallbacks, each once."""
        return tuple(dict.fromkeys([self.gemini_model_type, *self.gemini_fallback_models]))

    @property
    def budget(self) -> Budget:
        return Budget(self.history_turns, self.history_tokens, self.history_image_turns, self.history_image_bytes)

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            self.models, tries=self.retry_limit, attempts=self.attempt_limit, seconds=self.retry_total_seconds
        )

    def __repr__(self) -> str:
        # A key, and a Redis URL holds a password.
        return "WorkerSettings(...)"


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        whole = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        return whole and not (url.query or url.fragment)
    except ValueError:  # a port that is no number
        return False
