"""What the operating system says of a process (Linux, proc(5))."""

import re
import resource
from pathlib import Path

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_ESTABLISHED = "01"


def cpu(pid: int) -> float:
    """Seconds of CPU that all threads alive have used, to the microsecond (``schedstat``'s first field)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:  # the thread ended just now
            continue
    return total / 1e9


def delayed(pid: int) -> float:
    """Seconds that the main thread, ready to run, has waited for a CPU (``schedstat``'s second field).

    It is right as soon as the thread runs again. No clock of what a process used is: while it runs, the kernel brings
    that up to date at its ticks alone, milliseconds apart.
    """
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9


def rss(pid: int) -> int:
    """Bytes of memory in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def connections(pid: int, port: int) -> set[int]:
    """The process's own ports of its connections to a local port."""
    inodes = _sockets(pid)
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        _, near = fields[1].split(":")
        _, far = fields[2].split(":")
        if fields[3] == _ESTABLISHED and int(far, 16) == port and fields[9] in inodes:
            found.add(int(near, 16))
    return found


def _sockets(pid: int) -> set[str]:
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            match = _SOCKET.match(str(entry.readlink()))
        except FileNotFoundError:
            continue
        if match:
            inodes.add(match[1])
    return inodes
