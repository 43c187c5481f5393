"""Gemini's error answers as ours: the parts that need no HTTP."""

from typing import Any

import pytest

from workers.faults import from_answer, one_line
from workers.model import Fault, GenerationError

NOW = 1_700_000_000.0


def error(code: int, body: Any = None, retry_after: str | None = None) -> GenerationError:
    return from_answer(code, body, retry_after, now=NOW, key="the-key")


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (400, Fault.BAD_REQUEST),
        (401, Fault.UNAUTHORIZED),
        (403, Fault.UNAUTHORIZED),
        (404, Fault.NOT_FOUND),
        (408, Fault.TIMEOUT),
        (413, Fault.BAD_REQUEST),
        (422, Fault.BAD_REQUEST),
        (429, Fault.RATE_LIMITED),
        (499, Fault.UNAVAILABLE),
        (500, Fault.UNAVAILABLE),
        (502, Fault.UNAVAILABLE),
        (503, Fault.UNAVAILABLE),
        (504, Fault.TIMEOUT),
        (529, Fault.UNAVAILABLE),
        (302, Fault.GARBLED),
    ],
)
def test_each_status_has_one_fault(code: int, fault: Fault) -> None:
    assert error(code).code == fault


def test_a_wrong_key_and_missing_billing_are_the_operators_fault_though_they_are_400s() -> None:
    wrong_key = {"error": {"code": 400, "details": [{"@type": "x"}, {"reason": "API_KEY_INVALID"}]}}
    no_billing = {"error": {"code": 400, "status": "FAILED_PRECONDITION"}}

    assert error(400, wrong_key).code == Fault.UNAUTHORIZED
    assert error(400, no_billing).code == Fault.UNAUTHORIZED
    assert not error(400, wrong_key).retryable


@pytest.mark.parametrize("body", [None, "text", [], 7, {}, {"error": None}, {"error": "x"}, {"error": {"details": 7}}])
def test_any_body_is_borne(body: Any) -> None:
    assert error(503, body).retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), (" 12 ", 12.0), ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0), ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0)]
    + [(value, None) for value in ("", "soon", "-1", "1.5", "99999999999999999999", "Tue, 99 Nov 2023 22:13:30 GMT")],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert error(429, None, header).retry_after == seconds


@pytest.mark.parametrize(
    ("delay", "seconds"), [("37s", 37.0), ("1.5s", 1.5), ("0.000000001s", 1e-9), ("-1s", None), ("1", None), (3, None)]
)
def test_retry_info_is_a_duration(delay: Any, seconds: float | None) -> None:
    assert error(429, {"error": {"details": [{"retryDelay": delay}]}}).retry_after == seconds


def test_the_longer_of_two_waits_counts() -> None:
    assert error(429, {"error": {"details": [{"retryDelay": "3s"}]}}, "5").retry_after == 5.0


def test_the_log_gets_one_bounded_line_without_any_key() -> None:
    body = {"error": {"status": "PERMISSION_DENIED", "message": "Consumer\n'api_key:the-key' AIzaSyOther_key-01 " * 50}}
    detail = error(403, body).detail

    assert detail.startswith("403 PERMISSION_DENIED Consumer 'api_key:[key]' [key] ")
    assert "\n" not in detail
    assert len(detail) <= 300


def test_no_key_is_no_key_to_look_for() -> None:
    assert one_line("a b", "") == "a b"


def test_every_fault_has_a_sentence_of_its_own_for_users() -> None:
    sentences = {GenerationError(fault).message for fault in Fault}

    assert len(sentences) == len(Fault)
    assert all(sentence.endswith(".") for sentence in sentences)
