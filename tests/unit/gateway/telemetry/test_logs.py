"""What the process's log looks like, and what it never shows."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.telemetry import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def told(form: logs.Format, level: logs.Level = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream


def break_something() -> None:
    secret = "AIza-secret"
    raise RuntimeError("broken") from ValueError(len(secret))


@pytest.mark.parametrize("form", ["json", "console"])
def test_our_lines_and_the_libraries_go_the_same_way(form: logs.Format) -> None:
    stream = told(form)
    structlog.get_logger("ours").info("turn_begun", turn="0123")
    logging.getLogger("theirs").warning("lost %s of %d", "one", 3)
    ours, theirs = stream.getvalue().splitlines()
    assert "turn_begun" in ours
    assert "0123" in ours
    assert "lost one of 3" in theirs


def test_json_is_one_object_a_line() -> None:
    stream = told("json")
    structlog.get_logger().warning("two\nlines", text="\ud800 \u2028")
    [line] = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"]) == ("two\nlines", "warning")
    assert entry["timestamp"].endswith("Z")


def test_what_is_bound_to_a_request_is_in_every_line() -> None:
    stream = told("json")
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        logging.getLogger("theirs").warning("x")
    assert json.loads(stream.getvalue())["request_id"] == "abc"


def test_a_level_leaves_out_what_is_below_it() -> None:
    stream = told("json", "warning")
    structlog.get_logger().info("chatter")
    logging.getLogger("theirs").info("chatter")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_traceback_shows_no_local_variables(form: logs.Format, whose: str) -> None:
    stream = told(form)
    try:
        break_something()
    except RuntimeError:
        (structlog.get_logger() if whose == "ours" else logging.getLogger("theirs")).exception("it_broke")
    assert "RuntimeError" in stream.getvalue()
    assert "break_something" in stream.getvalue()
    # The source line that raises is shown; the value of its variable is not.
    assert "AIza-secret" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_unless_told_otherwise_people_at_a_terminal_get_colours_and_machines_json() -> None:
    for stream in (io.StringIO(), Terminal()):
        logs.configure("info", "auto", stream)
        structlog.get_logger().info("turn_begun", turn="0123")
        logging.getLogger("hypercorn.error").info("Running")
        lines = stream.getvalue().splitlines()
        assert len(lines) == 2
        if stream.isatty():
            assert all("\x1b[" in line for line in lines)
        else:
            assert [json.loads(line)["event"] for line in lines] == ["turn_begun", "Running"]


def test_what_was_asked_for_is_done_also_at_a_terminal() -> None:
    stream = Terminal()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("turn_begun")
    assert json.loads(stream.getvalue())["event"] == "turn_begun"
