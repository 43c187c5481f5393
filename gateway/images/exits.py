"""How the end of a process is noticed, whichever event loop runs."""

import asyncio
import os
import subprocess
from collections.abc import Callable


def on_exit(process: subprocess.Popen[bytes], call: Callable[[], None]) -> None:
    """Has the running loop call once the process has ended; its ``returncode`` is there then.

    Where the system has no file that tells of it (``pidfd_open``: Linux), a thread waits for it.
    """
    loop = asyncio.get_running_loop()
    try:
        file = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        loop.run_in_executor(None, process.wait).add_done_callback(lambda _: call())
        return

    def ended() -> None:
        loop.remove_reader(file)
        os.close(file)
        process.wait()
        call()

    loop.add_reader(file, ended)
