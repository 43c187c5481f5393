"""How what went wrong is told."""

import json
import re
from http import HTTPStatus
from pathlib import Path

import pytest
from werkzeug import exceptions

from gateway import problems
from gateway.problems import Passing, Problem, Upstream
from gateway.state import errors
from gateway.state.ids import new_turn_id
from workers.model import Fault


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.StateUnavailable("ConnectionError"), 503, "unavailable"),
        (errors.QueueFull(), 503, "queue_full"),
        (errors.NoWorker(), 503, "no_worker"),
        (errors.NothingPending(), 409, "nothing_pending"),
        (errors.TurnRunning(new_turn_id()), 409, "turn_running"),
        (errors.SessionGone(), 409, "session_gone"),
        (errors.ImageQuotaExceeded(), 413, "too_large"),
    ],
)
def test_every_error_of_the_contract_has_its_answer(error: errors.StateError, status: int, code: str) -> None:
    problem = problems.of_state(error)
    assert (problem.status, problem.code) == (status, code)
    assert isinstance(problem, Passing) is error.retryable
    assert ("Retry-After" in problem.headers) is error.retryable


def test_a_running_turn_is_named() -> None:
    turn = new_turn_id()
    assert problems.of_state(errors.TurnRunning(turn)).headers["X-Turn-Id"] == turn


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("bad_request", 400),
        ("blocked", 422),
        ("rate_limited", 429),
        ("timeout", 504),
        ("deadline_exceeded", 504),
        ("unavailable", 502),
        ("unauthorized", 502),
        ("worker_lost", 502),
        ("a_code_of_a_newer_worker", 502),
    ],
)
def test_a_failed_turn_has_a_true_status(code: str, status: int) -> None:
    problem = Upstream(code, "Gemini said no.")
    assert (problem.status, problem.code, problem.message) == (status, code, "Gemini said no.")
    assert ("Retry-After" in problem.headers) is (status == 429)


def test_the_table_of_codes_knows_none_that_no_turn_fails_with() -> None:
    scripts = Path(problems.__file__).parent.glob("state/scripts/**/*.lua")
    ends = {code for each in scripts for code in re.findall(r'"error":"(\w+)"', each.read_text())}
    assert "deadline_exceeded" in ends
    assert set(problems.BY_UPSTREAM_CODE) <= ends | {fault.value for fault in Fault}


@pytest.mark.parametrize("kind", [*exceptions.default_exceptions.values()])
def test_the_frameworks_refusals_have_our_shape_and_their_own_status(kind: type[exceptions.HTTPException]) -> None:
    error = kind(description="<p>internals</p>")
    problem = problems.of_http(error)
    assert problem.status == error.code
    body = json.loads(problem.encoded())
    assert body.keys() == {"success", "error", "message"}
    assert body["success"] is False
    assert "internals" not in body["message"]
    assert body["message"].strip()


def test_a_refused_method_names_those_that_are_not() -> None:
    problem = problems.of_http(exceptions.MethodNotAllowed(["GET", "OPTIONS"]))
    assert problem.headers == {"Allow": "GET, OPTIONS"}


def test_the_body_is_the_documented_one() -> None:
    problem = Problem(HTTPStatus.CONFLICT, "turn_running", "Wait.")
    assert problem.encoded() == b'{"success":false,"error":"turn_running","message":"Wait."}'
