"""What both processes tell of themselves."""

from gateway.telemetry.vitals import Vitals
from tests.scrape import of


def test_redis_is_up_while_it_answers_and_down_from_its_loss() -> None:
    vitals = Vitals("gateway")

    def up() -> float:
        return of(vitals.registry)("gateway_redis_up")

    assert up() == 0
    vitals.redis.connected()
    assert up() == 1
    vitals.redis.lost()
    assert up() == 0
    vitals.redis.round_trip(0.001)
    assert up() == 1
    vitals.redis.seen(up=False)
    assert up() == 0


def test_the_first_connection_is_no_reconnect() -> None:
    vitals = Vitals("worker")
    for reconnects in (0, 1, 2):
        vitals.redis.connected()
        assert of(vitals.registry)("worker_redis_reconnects_total") == reconnects


def test_build_info_says_what_runs() -> None:
    told = of(Vitals("worker", model="m", offline="true").registry).labels("worker_build_info")
    assert len(told) == 1
    assert set(told[0]) == {"version", "python", "model", "offline"}


def test_two_processes_parts_do_not_share_what_they_count() -> None:
    first, second = Vitals("gateway"), Vitals("gateway")
    first.redis.connected()
    assert of(second.registry)("gateway_redis_up") == 0
