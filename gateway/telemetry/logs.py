"""One log for the process: structlog's lines and those of the libraries (standard ``logging``) in one form on stderr.

What users say is not logged: no message text, no cookie, no key. Tracebacks are printed without local variables.
"""

import json
import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]
"""``auto``: for people at a terminal, else for machines."""

_QUIET = ("PIL", "google_genai", "httpx", "asyncio", "aiohttp", "urllib3")
"""Libraries whose chatter below a warning helps nobody."""


_ENCODER = json.JSONEncoder(default=repr)


class Lines(structlog.WriteLogger):
    """Ours go to the stream without the detour by way of ``logging``: there is one for each request."""

    def msg(self, message: str) -> None:
        try:
            super().msg(message)
        except (OSError, ValueError):
            return  # A full disk or a closed pipe must not break what is only told about.

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def configure(level: Level, form: Format, stream: TextIO | None = None) -> None:
    """Sets the process's logging up; to be called once, first thing, by a composition root."""
    output = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = _rendering(form, output)
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=lambda *_: Lines(output),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _rendering(form: Format, output: TextIO) -> list[Processor]:
    if form == "json" or (form == "auto" and not output.isatty()):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_as_json)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=plain)]


def _as_json(entry: dict[str, Any], **_: Any) -> str:
    return _ENCODER.encode(entry)
