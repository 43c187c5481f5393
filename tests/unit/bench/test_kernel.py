"""What the operating system is asked about this very process."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.bench import kernel
from tests.bench.commands import Commands
from tests.bench.resp import pack, port_of
from tests.bench.stretch import Stretches
from tests.bench.wheel import Wheel


def work(seconds: float) -> None:
    """Uses so much CPU."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_cpu_of_work_is_counted() -> None:
    before = kernel.cpu(os.getpid())
    work(0.05)
    assert 0.045 <= kernel.cpu(os.getpid()) - before < 0.5


def test_a_process_that_shares_its_cpu_is_seen_to_wait_for_it() -> None:
    cpu = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as other:
        try:
            while min(kernel.delayed(one.pid), kernel.delayed(other.pid)) < 0.05:
                time.sleep(0.01)
        finally:
            one.kill()
            other.kill()


def test_memory_that_is_written_is_resident() -> None:
    before = kernel.rss(os.getpid())
    block = bytearray(os.urandom(1 << 20) * 16)
    assert kernel.rss(os.getpid()) - before > 8 << 20
    del block


def test_a_connection_is_told_by_its_own_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert kernel.connections(os.getpid(), port) == set()
        with socket.create_connection(("127.0.0.1", port)) as one, socket.create_connection(("127.0.0.1", port)) as two:
            own = {one.getsockname()[1], two.getsockname()[1]}
            assert kernel.connections(os.getpid(), port) == own


_WORKER = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end:
        pass
    print("done", flush=True)
"""


def test_a_thread_that_works_on_has_a_long_stretch_and_one_that_rests_has_none() -> None:
    command = [sys.executable, "-c", _WORKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        longest = []
        for work_at_once, times in (("0", 1), ("0.1", 1), ("0.001", 50)):
            with Stretches([worker.pid]) as stretches:
                for _ in range(times):
                    worker.stdin.write(f"{work_at_once}\n")
                    worker.stdout.readline()
            longest.append(stretches.longest[0])
        worker.stdin.close()
    assert longest[1] > 0.08
    assert longest[2] < 0.05


def test_commands_are_counted_by_client_and_those_of_scripts_not_at_all() -> None:
    commands = Commands()
    commands.heard(b'+1700000000.123456 [0 127.0.0.1:4001] "evalsha" "abc" "1"\r\n')
    commands.heard(b'+1700000000.123457 [0 lua] "hget" "k" "f"\r\n')
    commands.heard(b'+1700000000.123458 [0 127.0.0.1:4001] "spublish" "a \\" b" "x"\r\n')
    commands.heard(b'+1700000000.123459 [0 [::1]:4002] "ping"\r\n')
    commands.heard(b"+OK\r\n")
    assert commands.take() == {4001: 2, 4002: 1}
    assert commands.take() == {}


def test_commands_are_packed_as_redis_reads_them() -> None:
    assert pack("SET", b"k\xff", 12) == b"*3\r\n$3\r\nSET\r\n$2\r\nk\xff\r\n$2\r\n12\r\n"


@pytest.mark.parametrize(("url", "port"), [("redis://h:7000/0", 7000), ("redis://h", 6379)])
def test_a_url_names_its_port_or_the_usual_one(url: str, port: int) -> None:
    assert port_of(url) == port


async def test_a_wheel_does_all_in_the_order_in_which_it_is_due_and_nothing_early() -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    wheel, seen, now = Wheel(loop), list[tuple[str, float]](), time.monotonic()

    def note(name: str) -> None:
        seen.append((name, time.monotonic() - now))
        if name == "late":
            done.set()

    wheel.at(now + 0.02, lambda: note("late"))
    wheel.at(now + 0.005, lambda: note("early"))
    wheel.at(now - 1.0, lambda: note("overdue"))
    await done.wait()
    assert [name for name, _ in seen] == ["overdue", "early", "late"]
    assert seen[1][1] >= 0.005
    assert seen[2][1] >= 0.02


async def test_what_is_put_on_the_wheel_while_it_turns_is_done_too() -> None:
    wheel, done = Wheel(asyncio.get_running_loop()), asyncio.Event()
    wheel.at(time.monotonic(), lambda: wheel.at(time.monotonic(), done.set))
    await done.wait()
