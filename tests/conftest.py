"""What holds for all tests."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard_by_what_tests_start() -> Iterator[None]:
    """What is ignored here (by ``nohup``, or in the background) would be ignored by all that is started here, too.

    A signal that is heard and passed over does no more harm here, and is not handed down.
    """
    ignored = [each for each in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, lambda *_: None)
    yield
    for each in ignored:
        signal.signal(each, signal.SIG_IGN)
