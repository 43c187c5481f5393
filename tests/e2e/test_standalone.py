"""What ``make run`` starts, as its user meets it: real children, Ctrl-C, kill -9, and one line for what goes wrong."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import User
from tests.processes import Process, found, python, until
from tests.scrape import scrape
from tests.servers import RedisServer, free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


class Place:
    """A directory, a port, and all that was started there."""

    def __init__(self, path: Path) -> None:
        self.data = path / "data"
        self.port = free_port()
        self._path = path
        self._started: list[Process] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, **environ: str) -> Process:
        log = self._path / f"{len(self._started)}.log"
        settings = {"DATA_DIR": str(self.data), "PORT": str(self.port), **environ}
        process = Process("standalone", python("workers.standalone"), log, settings)
        self._started.append(process)
        return process

    async def ready(self, **environ: str) -> Process:
        process = self.start(**environ)
        await until(lambda: "is ready" in process.output or not process.running, "all to be ready", 30)
        assert process.running, process.output
        return process

    def children(self) -> dict[str, int]:
        """Who lives, by the files that tell the next start."""
        texts = {name: self.data / f"{name}.lock" for name in ("gateway", "worker", "valkey")}
        named = {name: path.read_text().strip() for name, path in texts.items() if path.exists()}
        return {name: int(pid) for name, pid in named.items() if pid and _lives(int(pid))}

    def close(self) -> None:
        for process in self._started:
            process.kill()
        for pid in self.children().values():
            os.killpg(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    """A zombie does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] not in {"", "Z"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


async def test_it_answers_with_the_stand_in_and_says_so(place: Place) -> None:
    process = await place.ready()

    assert f"is ready:  {place.url}/\n" in process.output
    assert "Without GOOGLE_API_KEY the offline stand-in model answers, not Gemini." in process.output
    async with User(place.url) as user:
        assert (await user.call("GET", "/session")).json["offline"] is True
        assert "Hello?" in (await user.ask("Hello?")).text
        [_, answered] = (await user.call("GET", "/history")).json["messages"]
        assert answered["offline"] is True


async def test_both_tell_their_metrics_at_ports_of_their_own_where_that_is_wanted(place: Place) -> None:
    port = free_port()
    await place.ready(METRICS_PORT=str(port))

    assert (await scrape(port)).has("gateway_build_info")
    assert (await scrape(port + 1)).labels("worker_build_info")[0]["offline"] == "true"


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_one_signal_ends_all_of_it(place: Place, order: signal.Signals) -> None:
    process = await place.ready()
    assert set(place.children()) == {"gateway", "worker", "valkey"}

    os.kill(process.pid, order)

    assert await process.ended() == 0
    assert place.children() == {}
    assert "Traceback" not in process.output


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Place]:
    """A place whose path is too long for a socket."""
    place = Place(tmp_path / ("deep" * 25))
    place.data.mkdir(parents=True)
    yield place
    place.close()


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGKILL])
async def test_a_socket_that_has_no_room_in_a_deep_place_leaves_nothing_elsewhere(
    deep: Place, order: signal.Signals
) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        process = await deep.ready(TMPDIR=elsewhere)
        assert len(list(Path(elsewhere).glob("*/valkey.sock"))) == 1
        os.killpg(deep.children()["valkey"], order)
        process.interrupt()
        assert await process.ended() == 0
        assert list(Path(elsewhere).iterdir()) == []


async def test_a_place_for_the_socket_that_is_too_deep_as_well_is_one_line(deep: Place) -> None:
    process = deep.start(TMPDIR=str(deep.data))
    assert await process.ended() == 1
    assert process.output == (
        f"DATA_DIR: {deep.data} is too long a path for a socket, and so is TMPDIR: set one of them to a shorter one\n"
    )
    assert list(deep.data.glob("gemini-gateway-*")) == []
    assert deep.children() == {}


async def test_the_history_is_there_after_ctrl_c_and_after_a_kill(place: Place) -> None:
    process = await place.ready()
    async with User(place.url) as user:
        await user.ask("Remember me?")
        history = (await user.call("GET", "/history")).okay
        process.interrupt()
        await process.ended()

        process = await place.ready()
        assert (await user.call("GET", "/history")).okay == history
        orphans = place.children()
        process.kill()
        assert place.children() == orphans

        process = await place.ready()
        assert (await user.call("GET", "/history")).okay == history
        assert not set(place.children().values()) & set(orphans.values())
        assert not any(_lives(pid) for pid in orphans.values())
        assert process.output.count("ended what an earlier run had left behind") == 3


async def test_a_second_one_is_told_who_runs(place: Place) -> None:
    first = await place.ready()

    second = place.start()

    assert await second.ended() == 1
    assert second.output == f"already running as process {first.pid}, which uses {place.data}\n"
    assert len(place.children()) == 3


async def test_a_port_in_use_is_one_line_and_nothing_is_left_running(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        process = place.start()
        assert await process.ended() == 1
    assert process.output == f"PORT: {place.port} is in use by another program; set PORT to a free one\n"
    assert place.children() == {}


@pytest.mark.parametrize(
    "wrong",
    [{"PORT": "many"}, {"GEMINI_TEMPERATURE": "warm"}, {"REDIS_URL": "http://x"}, {"SESSION_TTL": "-1"}],
    ids=str,
)
async def test_a_wrong_setting_is_named_and_nothing_is_left_running(place: Place, wrong: dict[str, str]) -> None:
    process = place.start(**wrong)

    assert await process.ended() == 2
    (variable,) = wrong
    assert sum(line.startswith(f"{variable}: ") for line in process.output.splitlines()) == 1
    assert "Traceback" not in process.output
    assert place.children() == {}


@pytest.mark.parametrize("variable", ["REDIS_URL", "REDIS_URL_FILE"])
async def test_with_a_redis_url_that_server_is_used(place: Place, tmp_path: Path, variable: str) -> None:
    with RedisServer(tmp_path / "redis") as server:
        (tmp_path / "url").write_text(f"{server.url}\n")
        process = await place.ready(**{variable: server.url if variable == "REDIS_URL" else str(tmp_path / "url")})
        assert set(place.children()) == {"gateway", "worker"}
        async with User(place.url) as user, server.client() as client:
            await user.call("GET", "/session")
            assert await client.dbsize() > 0
        process.interrupt()
        assert await process.ended() == 0


async def test_the_gateway_is_not_given_the_key(place: Place) -> None:
    await place.ready(GOOGLE_API_KEY="secret-one", GEMINI_API_KEY="secret-two")

    environ = Path(f"/proc/{place.children()['gateway']}/environ")
    if not environ.exists():
        pytest.fail("this needs Linux")
    assert b"secret-" not in environ.read_bytes()
    assert b"secret-one" in Path(f"/proc/{place.children()['worker']}/environ").read_bytes()


async def test_a_child_that_dies_is_started_again(place: Place) -> None:
    process = await place.ready()
    worker, valkey = place.children()["worker"], place.children()["valkey"]

    for pid in (worker, valkey):
        os.kill(pid, signal.SIGKILL)

    def others() -> bool:
        now = place.children()
        return len(now) == 3 and now["worker"] != worker and now["valkey"] != valkey

    await until(others, "another worker and another Valkey")
    async with User(place.url) as user:

        async def whole() -> bool:
            report = (await user.call("GET", "/readyz")).json
            return bool(report["redis"] and report["workers"])

        await found(whole, "the gateway to find them")
        assert "Again?" in (await user.ask("Again?")).text
    assert process.running
