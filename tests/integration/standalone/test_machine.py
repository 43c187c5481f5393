import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.standalone.programs import GATEWAY, SLEEPS, TELLS_ITS_END, program
from tests.servers import free_port
from workers.standalone.child import Program
from workers.standalone.files import AppendOnlyFiles
from workers.standalone.gateway import Address
from workers.standalone.home import Home
from workers.standalone.machine import NAMES, Machine, Patience, Plan
from workers.standalone.problem import Problem
from workers.standalone.valkey import Valkey

LISTENS = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
time.sleep(60)
"""
AT_ONCE = Patience(pause=0)
DIES_ONCE_TOLD = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
DIES = "import sys; sys.exit(3)"


@dataclass
class Setup:
    """A machine whose children a test chooses, run in the test's own process."""

    path: Path
    port: int = field(default_factory=free_port)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ends(self) -> Path:
        return self.path / "ends"

    @property
    def socket(self) -> Path:
        return self.path / "socket"

    @property
    def home(self) -> Home:
        return Home(self.path / "data")

    def gateway(self) -> Program:
        return program("gateway", GATEWAY, str(self.port), str(self.ends))

    def worker(self) -> Program:
        return program("worker", TELLS_ITS_END, str(self.ends), "worker")

    def machine(
        self,
        *,
        gateway: Program | None = None,
        worker: Program | None = None,
        valkey: Valkey | None = None,
        patience: Patience = AT_ONCE,
    ) -> Machine:
        def plan() -> Plan:
            return Plan(gateway or self.gateway(), worker or self.worker(), valkey)

        address = Address("127.0.0.1", self.port)
        return Machine(self.home, address, plan, announce=self.ready.set, orphan_grace=5, patience=patience)

    async def run(self, machine: Machine, when_ready: Callable[[], object]) -> None:
        """Runs the machine until it ends, and does something as soon as it is ready."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(machine.run())
            await self.ready.wait()
            when_ready()
            await running

    def living(self) -> set[str]:
        return {name for name in NAMES if self.home.lock(name).held}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    (tmp_path / "data").mkdir()
    return Setup(tmp_path)


def end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_all_run_until_the_end_is_asked_for_and_none_afterwards(setup: Setup) -> None:
    valkey = Valkey(program("valkey", LISTENS, str(setup.socket)), setup.socket, AppendOnlyFiles(setup.path))
    living: list[set[str]] = []

    def look_and_end() -> None:
        living.append(setup.living())
        end()

    await setup.run(setup.machine(valkey=valkey), look_and_end)

    assert living == [{"gateway", "worker", "valkey"}]
    assert setup.living() == set()


async def test_what_the_server_writes_is_synced(setup: Setup) -> None:
    class Files(AppendOnlyFiles):
        def sync(self) -> None:
            if setup.ready.is_set():
                end()

    files = Files(setup.path, interval=0.01)
    valkey = Valkey(program("valkey", LISTENS, str(setup.socket)), setup.socket, files)
    await setup.run(setup.machine(valkey=valkey), lambda: None)
    assert setup.living() == set()


async def test_they_end_in_order(setup: Setup) -> None:
    listens_and_tells = LISTENS.replace("time.sleep(60)", "") + TELLS_ITS_END.replace("sys.argv[", "sys.argv[1:][")
    listening = program("valkey", listens_and_tells, str(setup.socket), str(setup.ends), "valkey")
    valkey = Valkey(listening, setup.socket, AppendOnlyFiles(setup.path))

    await setup.run(setup.machine(valkey=valkey), end)

    assert setup.ends.read_text().split() == ["gateway", "worker", "valkey"]


async def test_what_ends_before_all_is_ready_ends_everything_with_its_status(setup: Setup) -> None:
    with pytest.raises(Problem, match="the worker ended before all was ready") as raised:
        await setup.machine(gateway=program("gateway", SLEEPS), worker=program("worker", DIES)).run()
    assert raised.value.status == 3
    assert setup.living() == set()


async def test_the_end_can_be_asked_for_before_all_is_ready(setup: Setup) -> None:
    machine = setup.machine(gateway=program("gateway", SLEEPS))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(machine.run())
        while "worker" not in setup.living():
            await asyncio.sleep(0.01)
        end()
        await running
    assert setup.living() == set()


async def test_a_child_that_dies_is_started_again(setup: Setup) -> None:
    lock = setup.home.lock("worker")

    async def kill_and_wait() -> None:
        await setup.ready.wait()
        first = lock.holder
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while not lock.held or lock.holder in {None, first}:
            await asyncio.sleep(0.01)
        end()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(setup.machine().run())
        tasks.create_task(kill_and_wait())
    assert setup.living() == set()


async def test_a_child_that_dies_again_and_again_ends_everything(setup: Setup) -> None:
    dying = program("worker", DIES_ONCE_TOLD, str(setup.path / "die"))
    machine = setup.machine(worker=dying, patience=Patience(deaths=3, within=60, pause=0))
    with pytest.RaisesGroup(pytest.RaisesExc(Problem, match="the worker ended 3 times within 60 s")):
        await setup.run(machine, (setup.path / "die").touch)
    assert setup.living() == set()


async def test_a_port_in_use_is_one_line_and_nothing_is_started(setup: Setup) -> None:
    with (
        socket.create_server(("127.0.0.1", setup.port)),
        pytest.raises(Problem, match=f"^PORT: {setup.port} is in use"),
    ):
        await setup.machine().run()
    assert setup.living() == set()
    assert not setup.ready.is_set()


async def test_orphans_are_ended_before_anything_is_started(setup: Setup) -> None:
    lock = setup.home.lock("worker")
    with lock.taken() as descriptor:
        orphan = await asyncio.create_subprocess_exec(
            *program("worker", SLEEPS).command, pass_fds=(descriptor,), start_new_session=True
        )
    lock.name(orphan.pid)
    holders: list[int | None] = []

    def look_and_end() -> None:
        holders.append(lock.holder)
        end()

    await setup.run(setup.machine(), look_and_end)

    assert await orphan.wait() == -signal.SIGTERM
    assert holders != [orphan.pid]
