"""The real HAProxy with the project's own ``gateway/haproxy.cfg``, as a process on loopback."""

import asyncio
import csv
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.servers import free_port

CONFIGURATION = Path(__file__).parents[1] / "gateway" / "haproxy.cfg"

_PATIENCE = 8.0  # seconds; HAProxy resolves and checks once a second


@dataclass(frozen=True)
class Balancer:
    url: str
    inside: str
    log: Path
    http: aiohttp.ClientSession
    """Every call has a connection of its own: aiohttp repeats a GET by itself when one that it kept is closed."""

    async def get_text(self, path: str) -> str:
        async with self.http.get(self.url + path) as answer:
            return await answer.text()

    async def logged(self, text: str) -> str:
        """Returns the log's first line that has ``text`` as soon as there is one: it comes after the answer."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                for line in self.log.read_text().splitlines():
                    if text in line:
                        return line
                await asyncio.sleep(0.02)

    async def sees(self, *addresses: str) -> None:
        """Returns when exactly these replicas get requests, and each of them has passed its latest check."""
        wanted = dict.fromkeys(addresses, True)
        seen: dict[str, bool] | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                while seen != wanted:
                    await asyncio.sleep(0.02)
                    seen = await self._in_rotation()
        except TimeoutError:
            raise AssertionError(f"HAProxy sees {seen}, not {wanted}") from None

    async def _in_rotation(self) -> dict[str, bool]:
        """The addresses that get requests: those that passed their latest check, and those not given up yet."""
        async with self.http.get(f"{self.inside}/;csv") as answer:
            rows = csv.DictReader((await answer.text()).removeprefix("# ").splitlines())
        return {
            row["addr"].partition(":")[0]: row["status"] == "UP" and row["check_status"].endswith("L7OK")
            for row in rows
            if row["pxname"] == "gateways" and row["svname"] != "BACKEND" and row["status"].startswith("UP")
        }


@asynccontextmanager
async def balancer(log: Path, *, names_port: int, gateway_port: int, **environ: str) -> AsyncIterator[Balancer]:
    """Serves on a free port until left; ``environ`` goes to the configuration's variables."""
    web, inside = free_port(), free_port()
    settings = {
        "WEB_BIND": f"127.0.0.1:{web}",
        "INSIDE_BIND": f"127.0.0.1:{inside}",
        "RESOLVER": f"127.0.0.1:{names_port}",
        "GATEWAY_PORT": str(gateway_port),
        **environ,
    }
    scheme = "https" if "TLS_CERT" in environ else "http"
    async with (
        _haproxy(log, settings) as process,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
    ):
        await _answers(http, f"http://127.0.0.1:{inside}/health", process, log)
        yield Balancer(f"{scheme}://127.0.0.1:{web}", f"http://127.0.0.1:{inside}", log, http)


@asynccontextmanager
async def _haproxy(log: Path, environ: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            "haproxy", "-db", "-f", str(CONFIGURATION), env={**os.environ, **environ}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _answers(http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    while process.returncode is None:
        try:
            async with http.get(url) as answer:
                answer.raise_for_status()
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.02)
    raise AssertionError(f"HAProxy did not come up:\n{log.read_text()}")
