"""Stacks become costs of functions."""

from tests.bench.hotspots import Hotspots, function

STACKS = """\
main (gateway/__main__.py:10);read (redis/asyncio/connection.py:5) 3
main (gateway/__main__.py:11);read (redis/asyncio/connection.py:7);read (redis/asyncio/connection.py:5) 1
main (gateway/__main__.py:10) 4
"""


def test_a_function_s_lines_and_its_own_calls_are_counted_once() -> None:
    spots = Hotspots.read(STACKS)
    main, read = "main (gateway/__main__.py)", "read (redis/asyncio/connection.py)"
    assert spots.samples == 8
    assert spots.whole == {main: 8, read: 4}
    assert spots.own == {main: 4, read: 4}


def test_costs_are_shares_of_what_was_measured() -> None:
    table = Hotspots.read(STACKS).table(100.0, "a gateway")
    assert table.startswith("a gateway: 100 in all (8 samples)")
    assert "    100.0      50.0  main (gateway/__main__.py)" in table


def test_nothing_sampled_is_a_table_without_rows() -> None:
    assert "0 samples" in Hotspots.read("").table(0.0, "idle")


def test_a_long_path_is_told_by_its_end() -> None:
    assert function("f (/a/b/c/d/e.py:12)") == "f (c/d/e.py)"
    assert function("epoll_wait (libc.so.6)") == "epoll_wait (libc.so.6)"
    assert function("[idle]") == "[idle]"
