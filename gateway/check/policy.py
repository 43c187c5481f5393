"""What a server's own words (INFO and CONFIG GET) say about how safe sessions are in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.telemetry.findings import Finding, fail, ok, warn

OLDEST = (7, 0)

_NEAR, _FULL = 0.8, 0.95
_SYNC_OUTSIDE = "Set `appendfsync no` and sync the files once a second as compose.yaml does, or the slower `always`"
_CANNOT_TELL = "cannot tell: this server does not let us ask"

Words = Mapping[str, Any]


def version(info: Words) -> Finding:
    told = str(info.get("redis_version", ""))
    product = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {told}"
    if _numbers(told) < OLDEST:
        return fail("version", product, "Use Redis 7.0 or newer, or any Valkey: older ones lack sharded channels")
    return ok("version", product)


def role(info: Words) -> Iterator[Finding]:
    """Says something only where it is wrong."""
    if str(info.get("role", "master")) != "master":
        yield fail("role", "this server is a replica, which takes no writes", "Name the primary in REDIS_URL")
    if info.get("cluster_enabled"):
        yield fail("role", "this server is a node of a Cluster", "Name a server of its own in REDIS_URL")


def persistence(info: Words, config: Words | None) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield warn(
            "persistence",
            "the append-only file is off: a restart of Redis loses all since its last snapshot, running turns too",
            "Set `appendonly yes`",
        )
    elif info.get("aof_last_write_status") == "err":
        yield fail(
            "persistence", "the append-only file cannot be written", "Look at the server's disk: full, or failing?"
        )
    else:
        yield _sync(config)
    if info.get("rdb_last_bgsave_status") == "err":
        yield warn(
            "persistence", "the last snapshot (RDB) failed", "Look at the server's log: no disk or no memory left?"
        )
    if info.get("aof_last_bgrewrite_status") == "err":
        yield warn(
            "persistence", "the append-only file could not be rewritten, and grows", "Look at the server's log and disk"
        )


def _sync(config: Words | None) -> Finding:
    match (config or {}).get("appendfsync"):
        case "always":
            return ok(
                "persistence", "append-only file, appendfsync always: no crash loses anything that was acknowledged"
            )
        case "everysec":
            return warn(
                "persistence",
                "append-only file, appendfsync everysec: a crash of Redis may cost a moment, as it answers before it"
                " writes while it syncs; one of its machine the last second or two",
                _SYNC_OUTSIDE,
            )
        case "no":
            return warn(
                "persistence",
                "append-only file, appendfsync no: a crash of Redis costs nothing; one of its machine may cost half a"
                " minute, unless something else syncs the files (in compose.yaml the service `sync` does)",
                _SYNC_OUTSIDE,
            )
    return ok("persistence", f"append-only file; appendfsync: {_CANNOT_TELL}")


def memory(info: Words) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy")
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if policy is None:
        yield ok("eviction", _CANNOT_TELL)
    elif policy != "noeviction":
        yield warn(
            "eviction",
            f"maxmemory-policy {policy}: when memory is short, sessions go, and turns in mid-answer",
            "Set `maxmemory-policy noeviction`",
        )
    else:
        yield ok("eviction", "maxmemory-policy noeviction")
    told = f"{_mebibytes(used)} used of {_mebibytes(limit)}" if limit else f"{_mebibytes(used)} used, no maxmemory set"
    mend = "Raise maxmemory, or shorten SESSION_TTL or HISTORY_KEPT_TURNS"
    if limit and used > _FULL * limit:
        yield fail("memory", f"{told}: writes are refused when it is full", mend)
    elif limit and used > _NEAR * limit:
        yield warn("memory", told, mend)
    else:
        yield ok("memory", told)


def connections(info: Words) -> Iterator[Finding]:
    """Says something only where it is wrong."""
    clients, most = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if most and clients > _NEAR * most:
        yield warn("connections", f"{clients} of {most}", "Raise maxclients: one more replica may find no place")


def _numbers(text: str) -> tuple[int, ...]:
    """``7.0.15`` as ``(7, 0)``; ``(0,)`` for what is no version."""
    parts = text.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (0,)


def _mebibytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.0f} MiB"
