from gateway.check import crew
from gateway.state.ids import WorkerId
from gateway.state.records import About, Census
from gateway.telemetry.findings import Level

ABOUT = About(model="gemini-2.5-flash", offline=False, concurrency=64, version="1.0")


def census(*workers: About, waiting: int = 0, oldest: float = 0.0) -> Census:
    return Census(waiting, waiting, oldest, {WorkerId(str(number)): about for number, about in enumerate(workers)})


def levels(*workers: About) -> list[Level]:
    return [finding.level for finding in crew.workers(census(*workers))]


def test_workers_that_agree_are_well() -> None:
    (finding,) = crew.workers(census(ABOUT, ABOUT))
    assert finding.level is Level.OK
    assert finding.said == "2 alive with places for 128 turns: 2 of gemini-2.5-flash, version 1.0"


def test_without_workers_nothing_is_answered() -> None:
    assert levels() == [Level.FAIL]


def test_workers_that_differ_are_told() -> None:
    assert levels(ABOUT, About("gemini-2.5-pro", False, 64, "1.0")) == [Level.OK, Level.WARN]
    assert levels(ABOUT, About("gemini-2.5-flash", False, 64, "1.1")) == [Level.OK, Level.WARN]
    assert levels(About("offline", True, 64, "1.0")) == [Level.OK, Level.WARN]


def test_a_queue_is_judged_by_its_oldest_and_its_length() -> None:
    assert crew.queue(census(waiting=3, oldest=2.0), 10).level is Level.OK
    assert crew.queue(census(waiting=3, oldest=60.0), 10).level is Level.WARN
    assert crew.queue(census(waiting=10), 10).level is Level.FAIL
