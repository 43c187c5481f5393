"""The ``Dockerfile``'s health check, taken from the file and run: it is a program of its own that no linter reads."""

import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def health_check() -> list[str]:
    """The command as Docker reads it: continued lines joined, then JSON."""
    joined = DOCKERFILE.read_text().replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", joined, re.MULTILINE)
    assert found is not None
    command: list[str] = json.loads(found[1])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


def passes(port: int) -> bool:
    # A container's environment may name a proxy; the check must not ask it.
    environ = {"PORT": str(port), "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(health_check(), env=environ, check=False, capture_output=True).returncode == 0


@contextmanager
def server(status: int) -> Iterator[int]:
    """A server whose ``/readyz`` has ``status``; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_health_check_follows_readyz(status: int, healthy: bool) -> None:
    with server(status) as port:
        assert passes(port) is healthy


def test_the_health_check_fails_where_nobody_listens() -> None:
    assert not passes(free_port())


def test_the_image_ends_as_an_ordinary_user_with_the_program_itself_as_its_process() -> None:
    last_stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last_stage, re.MULTILINE)
    assert re.search(r'^CMD \["python", "-m", "gateway"\]$', last_stage, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", last_stage, re.MULTILINE)
