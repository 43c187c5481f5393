"""Opens the connection pool to Redis or Valkey (7.0 or newer: turn logs are published on sharded channels)."""

from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

_NOT_YET = {"redis+sentinel": "Sentinel", "redis+cluster": "Cluster"}

Client = Redis
"""What ``connect`` returns: composition roots hand it on, and only this package calls it."""


class ConnectError(ValueError):
    """The URL is not one that this version can use; says why in one line, without the URL's password."""


def connect(url: str, *, timeout: float = 1.0, connections: int = 7) -> Redis:
    """A client whose every command ends within about twice ``timeout`` seconds, server or no server.

    A command is sent again once, on a new connection, when its connection broke (each write of the contract may be
    repeated); not when it timed out. Callers beyond ``connections`` wait up to ``timeout`` for a free one. redis-py
    closes a connection whose command was cancelled or timed out, so no reply can reach the wrong reader.
    """
    check_url(url)
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        health_check_interval=0,
        retry=Retry(ConstantBackoff(0.05), retries=1, supported_errors=(RedisConnectionError,)),
    )
    return Redis.from_pool(pool)


def check_url(url: str) -> None:
    """Raises ConnectError unless ``url`` is ``redis://``, ``rediss://`` or ``unix://``."""
    parts = urlsplit(url)
    if parts.scheme in _NOT_YET:
        raise ConnectError(f"{_NOT_YET[parts.scheme]} is not supported yet, use redis:// or rediss://")
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ConnectError("must begin with redis://, rediss:// or unix://")
    if parts.scheme != "unix":
        try:
            named = parts.hostname is not None and (parts.port is None or parts.port > 0)
        except ValueError:
            named = False
        if not named:
            raise ConnectError("must name a host, and its port must be a number from 1 to 65535")
