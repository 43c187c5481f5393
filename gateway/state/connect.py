"""Opens the client of Redis or Valkey (7.0 or newer: turn logs are published on sharded channels)."""

import os
import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.state.client import LineClient
from gateway.state.pool import FairPool

_NOT_YET = {"redis+sentinel": "Sentinel", "redis+cluster": "Cluster"}

_NO_HOST = "must name a host, and its port must be a number from 1 to 65535"
_NO_SOCKET = "must name a socket by its absolute path, as in unix:///run/valkey/valkey.sock"

LONGEST_SOCKET = 103
"""Bytes that the path of a Unix socket may have on every system (unix(7): 108 with the last zero; 104 on macOS)."""

_OPTION = re.compile(r"ssl_\w+|client_name|db|health_check_interval|password|username")
"""What may follow the question mark; redis-py takes more, with which nothing here would work as promised."""

Client = LineClient
"""What ``connect`` returns: composition roots hand it on, and only this package calls it."""


class ConnectError(ValueError):
    """The URL is not one that this version can use; says why in one line, without the URL's password."""


def connect(url: str, *, timeout: float = 1.0, connections: int = 6) -> LineClient:
    """A client whose every command ends within about twice ``timeout`` seconds, server or no server.

    A command is sent again once, on a new connection, when its connection broke (each write of the contract may be
    repeated); not when it timed out. Commands share one connection, those that block another; what goes ``apart`` has a
    pool of ``connections``, and waits up to ``timeout`` for a free one. No reply can reach the wrong reader: over a
    shared connection it is dropped with its question, and of the pool's a connection is closed whose command was
    cancelled or timed out.
    """
    check_url(url)
    try:
        pool = FairPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=0,
            protocol=2,
            retry=Retry(ConstantBackoff(0.05), retries=1, supported_errors=(RedisConnectionError,)),
            **_over_the_network(url),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]  # opens nothing, but looks at every option
    except (RedisError, TypeError, ValueError):
        options = ", ".join(parse_qs(urlsplit(url).query))
        raise ConnectError(f"has an option with a value that cannot be used: {options}") from None
    return LineClient(pool, timeout)


def _over_the_network(url: str) -> dict[str, Any]:
    """Options that a socket of the same machine does not know."""
    return {} if urlsplit(url).scheme == "unix" else {"socket_keepalive": True}


def check_url(url: str) -> None:
    """Raises ConnectError unless ``url`` names a host (``redis://``, ``rediss://``) or a socket (``unix://``)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConnectError(_NO_HOST) from None
    if parts.scheme in _NOT_YET:
        raise ConnectError(f"{_NOT_YET[parts.scheme]} is not supported yet, use redis:// or rediss://")
    match parts.scheme:
        case "redis" | "rediss":
            _check_host(parts)
        case "unix":
            _check_socket(parts)
        case _:
            raise ConnectError("must begin with redis://, rediss:// or unix://")
    _check_options(parts)


def _check_host(parts: SplitResult) -> None:
    if not _names_a_host(parts):
        raise ConnectError(_NO_HOST)
    if not re.fullmatch(r"(/\d*)?", parts.path):
        raise ConnectError("must name its database by a number")


def _check_socket(parts: SplitResult) -> None:
    path = unquote(parts.path)
    if parts.hostname or path.endswith("/") or not path.startswith("/") or "\0" in path:
        raise ConnectError(_NO_SOCKET)
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise ConnectError(f"must name a socket by a path of at most {LONGEST_SOCKET} bytes")


def place(url: str) -> str:
    """Where a URL that can be used leads to: host and port, or a socket's path; without user and password."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def _names_a_host(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_options(parts: SplitResult) -> None:
    unknown = [name for name in parse_qs(parts.query, keep_blank_values=True) if not _OPTION.fullmatch(name)]
    if unknown:
        raise ConnectError(f"has options that cannot be used: {', '.join(unknown)}")
