"""The gateway's address as seen from this machine: whether it can be had, and what answers there."""

import asyncio
import errno
import http.client
import json
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from workers.standalone.problem import Problem

_POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 3.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def url(self) -> str:
        host = _WILDCARDS.get(self.host, self.host)
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def must_be_free(self) -> None:
        """Raises ``Problem`` if nobody could listen here now."""
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                # As servers do: a connection of an earlier run that is still closing is in nobody's way.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(f"PORT: {self.port} is in use by another program; set PORT to a free one") from None
            raise Problem(f"HOST, PORT: cannot listen on {self.host}:{self.port}: {error.strerror}") from None

    async def serves(self) -> None:
        """Waits until the gateway answers, has its Redis, and a worker lives."""
        while True:
            report = await asyncio.to_thread(self._report)
            if report.get("redis") and report.get("workers"):
                return
            await asyncio.sleep(_POLL_SECONDS)

    def _report(self) -> dict[str, Any]:
        """The body of ``/readyz`` once it says that this replica is ready; empty until then."""
        call = http.client.HTTPConnection(_WILDCARDS.get(self.host, self.host), self.port, timeout=_TIMEOUT_SECONDS)
        try:
            call.request("GET", "/readyz")
            answer = call.getresponse()
            report = json.loads(answer.read()) if answer.status == HTTPStatus.OK else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            call.close()
        return report if isinstance(report, dict) else {}
