"""The collector is out of a start's way, and back when streams are served."""

import subprocess
import sys

from tests.processes import ROOT


def printed(code: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_nothing_is_collected_while_a_process_is_put_together_and_what_stays_is_never_looked_at() -> None:
    code = (
        "import gc; from gateway.telemetry import garbage\n"
        "garbage.postpone(); print(gc.isenabled())\n"
        "kept = [[] for _ in range(50_000)]\n"
        "garbage.settle(); print(gc.isenabled(), gc.get_freeze_count() > 50_000)"
    )
    assert printed(code) == ["False", "True", "True"]


def test_a_process_imports_what_it_is_made_of_only_after_that() -> None:
    for name in ("gateway", "workers"):
        loaded = printed(f"import sys, {name}.__main__; print(*sys.modules)")
        assert not {"quart", "redis", "structlog", "msgspec"} & set(loaded)
