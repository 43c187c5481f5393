"""What a check found: one line each, for the person at the terminal."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    """It works, and may not do so when it matters."""
    FAIL = "fail"
    """Users get no answers."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    about: str
    said: str
    mend: str = ""
    """What to do about it. Neither text ever holds a secret."""

    def __str__(self) -> str:
        line = f"{self.level:<5} {self.about:<12} {self.said}"
        return f"{line}. {self.mend}" if self.mend else line


def ok(about: str, said: str) -> Finding:
    return Finding(Level.OK, about, said)


def warn(about: str, said: str, mend: str) -> Finding:
    return Finding(Level.WARN, about, said, mend)


def fail(about: str, said: str, mend: str) -> Finding:
    return Finding(Level.FAIL, about, said, mend)


def tell(findings: Iterable[Finding], output: TextIO) -> int:
    """Writes them; the exit code: 1 if anything failed, else 0."""
    failed = False
    for finding in findings:
        output.write(f"{finding}\n")
        failed |= finding.level is Level.FAIL
    return int(failed)
