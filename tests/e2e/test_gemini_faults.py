"""Each of Gemini's faults has one right ending, and a truncated answer is never passed off as whole."""

import json
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import pytest
import pytest_asyncio

from tests.client import User, picture, prompt
from tests.cluster import Cluster, Gemini
from tests.e2e.conftest import Clusters
from tests.eventsource import EventSource
from tests.gemini_server import Script, expected_answer
from tests.gemini_server.script import SECRET_DETAIL
from tests.processes import until

MODEL, FALLBACK = "gemini-2.5-flash", "gemini-fallback"
IMPATIENT = {
    "GEMINI_FALLBACK_MODELS": FALLBACK,
    "GEMINI_FIRST_CHUNK_TIMEOUT": "0.7",
    "GEMINI_CHUNK_TIMEOUT": "0.7",
    "GEMINI_CONNECT_TIMEOUT": "2",
    "RETRY_LIMIT": "2",
    "RETRY_TOTAL_SECONDS": "4",
    "ATTEMPT_LIMIT": "2",
}

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def impatient(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path_factory.mktemp("faults"), stand_in, worker=IMPATIENT) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def user(impatient: Cluster, gemini: Gemini) -> AsyncIterator[User]:
    async with User(impatient.any_url) as user:
        yield user


def _end(reader: EventSource) -> Any:
    return json.loads(reader.events[-1].data)


async def _is_pending_again(user: User, *, images: int = 0) -> None:
    session = await user.session()
    assert session["pending"] == {"message": True, "images": images}
    assert session["turn"] is None
    assert await user.history() == []


@pytest.mark.parametrize(
    "fault",
    [
        *("status=429", "status=500", "status=503", "status=504"),
        *("fault=reset", "fault=close", "fault=end", "fault=garbage", "fault=json", "fault=error"),
        *("fault=error status=503", "fault=reset at=-1", "fault=close at=-1", "hold=-1", "hold=0"),
    ],
)
async def test_a_fault_before_the_first_chunk_is_retried_unseen(user: User, gemini: Gemini, fault: str) -> None:
    asked = prompt("at first", f"{fault} times=1")
    reader = await user.ask(asked)
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["done"]
    calls = await gemini.calls_about(asked)
    assert [call.model for call in calls] == [MODEL, MODEL]
    assert (await gemini.ended(calls[0])).ended == ("disconnected" if "hold" in fault else "fault")


@pytest.mark.parametrize("fault", ["reset", "close", "end", "error", "garbage", "json"])
async def test_a_fault_in_mid_answer_begins_a_new_attempt(user: User, gemini: Gemini, fault: str) -> None:
    asked = prompt("half way", f"fault={fault} at=3 hold=3 times=1 unique")
    await user.chat(asked)
    async with user.stream() as reader:
        await reader.when(lambda: len(reader.text.split()) == 3)
        await gemini.release()
        await reader.until("done")
    assert reader.types() == ["reset", "done"]
    reset = next(json.loads(event.data) for event in reader.events if event.type == "reset")
    assert reset["attempt"] == 2
    assert reset["reason"] in ("unavailable", "truncated", "garbled")
    first, second = await gemini.calls_about(asked)
    assert first.chunks == 3
    assert [f"@{second.id}" in word for word in reader.text.split()] == [True] * 8
    assert await user.conversation() == [("user", asked), ("model", reader.text)]


async def test_silence_in_mid_answer_begins_a_new_attempt(user: User, gemini: Gemini) -> None:
    asked = prompt("falls silent", "hold=3 times=1")
    reader = await user.ask(asked)
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["reset", "done"]
    assert (await gemini.ended((await gemini.calls_about(asked))[0])).ended == "disconnected"


@pytest.mark.parametrize("fault", ["reset", "close", "end", "error", "garbage", "json"])
async def test_an_answer_that_always_breaks_off_ends_as_failed_never_as_done(
    user: User, gemini: Gemini, fault: str
) -> None:
    asked = prompt("never whole", f"fault={fault} at=3 delay=0.05")
    reader = await user.ask(asked)
    assert reader.types() == ["reset", "failed"]
    assert _end(reader)["retryable"] is True
    assert _end(reader)["error"] in ("unavailable", "truncated", "garbled")
    assert len(await gemini.calls_about(asked)) == 2
    await _is_pending_again(user)


@pytest.mark.parametrize("kind", ["retry_after=1", "retry_delay=1s", "date"])
async def test_gemini_is_asked_again_no_sooner_than_it_wishes(user: User, gemini: Gemini, kind: str) -> None:
    asked = prompt("slower")
    script = Script(status=429, retry_after=formatdate(usegmt=True))
    if kind != "date":
        script = (
            Script(status=429, retry_after="1") if kind == "retry_after=1" else Script(status=429, retry_delay="1s")
        )
    await gemini.script(script, match=asked)
    assert (await user.ask(asked)).text == expected_answer(asked)
    first, second = await gemini.calls_about(asked)
    assert second.at - first.at >= (1.0 if kind != "date" else 0.0)


async def test_a_wait_longer_than_all_patience_goes_to_the_fallback_model_at_once(user: User, gemini: Gemini) -> None:
    asked = prompt("tomorrow")
    await gemini.script(Script(status=429, retry_after="3600"), match=asked)
    reader = await user.ask(asked)
    assert reader.text == expected_answer(asked)
    assert _end(reader)["model"] == FALLBACK
    assert [call.model for call in await gemini.calls_about(asked)] == [MODEL, FALLBACK]


async def test_a_model_that_stays_away_is_replaced_by_its_fallback(user: User, gemini: Gemini) -> None:
    asked = prompt("overloaded")
    await gemini.script(Script(status=503), match=asked, model=MODEL, times=0)
    reader = await user.ask(asked)
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["done"]
    assert _end(reader)["model"] == FALLBACK
    assert (await user.history())[1]["model"] == FALLBACK
    assert [call.model for call in await gemini.calls_about(asked)] == [MODEL, MODEL, FALLBACK]


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "unavailable"), (504, "timeout")])
async def test_when_all_models_stay_away_the_turn_fails_and_the_input_is_pending_again(
    user: User, gemini: Gemini, status: int, code: str
) -> None:
    asked = prompt("in vain")
    await gemini.script(Script(status=status), match=asked, times=4)
    await user.upload(picture(), picture())
    reader = await user.ask(asked)
    assert reader.types() == ["failed"]
    assert (_end(reader)["error"], _end(reader)["retryable"]) == (code, True)
    assert SECRET_DETAIL not in _end(reader)["message"]
    assert [call.model for call in await gemini.calls_about(asked)] == [MODEL, MODEL, FALLBACK, FALLBACK]
    await _is_pending_again(user, images=2)

    again = await user.read()
    assert again.text == expected_answer(asked)
    [said, _] = await user.history()
    assert (said["text"], len(said["images"])) == (asked, 2)


@pytest.mark.parametrize(
    ("directives", "code"),
    [
        ("status=400", "bad_request"),
        ("status=400 reason=API_KEY_INVALID", "unauthorized"),
        ("status=401", "unauthorized"),
        ("status=403", "unauthorized"),
        ("status=404", "not_found"),
    ],
)
async def test_what_gemini_refuses_is_told_at_once(user: User, gemini: Gemini, directives: str, code: str) -> None:
    asked = prompt("refused", directives)
    reader = await user.ask(asked)
    assert reader.types() == ["failed"]
    assert (_end(reader)["error"], _end(reader)["retryable"]) == (code, False)
    assert set(_end(reader)) == {"error", "message", "retryable"}
    assert SECRET_DETAIL not in reader.connections[0].raw.decode()
    assert len(await gemini.calls_about(asked)) == 1
    await _is_pending_again(user)


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "SOMETHING_NEW"])
async def test_a_blocked_prompt_fails_with_its_reason(user: User, gemini: Gemini, reason: str) -> None:
    asked = prompt("forbidden", f"block={reason}")
    reader = await user.ask(asked)
    assert reader.types() == ["failed"]
    assert (_end(reader)["error"], _end(reader)["retryable"]) == ("blocked", False)
    assert reason in _end(reader)["message"]
    assert len(await gemini.calls_about(asked)) == 1
    await _is_pending_again(user)


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "MAX_TOKENS", "SOMETHING_NEW"])
@pytest.mark.parametrize("how", ["", "apart"])
async def test_an_answer_that_gemini_broke_off_is_done_with_its_reason(
    user: User, gemini: Gemini, reason: str, how: str
) -> None:
    asked = prompt("broken off", f"chunks=3 finish={reason} {how}")
    reader = await user.ask(asked)
    assert reader.types() == ["done"]
    assert reader.text == expected_answer(asked)
    assert _end(reader)["finish_reason"] == reason
    assert (await user.history())[1]["finish_reason"] == reason


async def test_an_answer_without_a_word_is_done_with_its_reason(user: User, gemini: Gemini) -> None:
    asked = prompt("speechless", "chunks=0 finish=SAFETY")
    reader = await user.ask(asked)
    assert (reader.types(), reader.text) == (["done"], "")
    assert _end(reader)["finish_reason"] == "SAFETY"


async def test_thoughts_are_counted_but_not_shown(user: User, gemini: Gemini) -> None:
    asked = prompt("thoughtful", "thoughts=3")
    reader = await user.ask(asked)
    assert reader.text == expected_answer(asked)
    usage = _end(reader)["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens"] > len(reader.text) // 4


async def test_a_refused_connection_is_tried_again(impatient: Cluster, user: User, gemini: Gemini) -> None:
    asked = prompt("refused at first")
    failures = impatient.workers[0].output.count("call failed")
    await gemini.refuse()
    await user.chat(asked)
    async with user.stream() as reader:
        await until(lambda: impatient.workers[0].output.count("call failed") > failures, "the first call to fail")
        await gemini.listen()
        await reader.until("done")
    assert reader.text == expected_answer(asked)
    assert reader.types() == ["done"]


async def test_while_nothing_listens_the_turn_fails_and_can_be_asked_again(user: User, gemini: Gemini) -> None:
    asked = prompt("unreachable")
    await gemini.refuse()
    reader = await user.ask(asked)
    assert reader.types() == ["failed"]
    assert (_end(reader)["error"], _end(reader)["retryable"]) == ("unavailable", True)
    await _is_pending_again(user)
    await gemini.listen()
    assert (await user.read()).text == expected_answer(asked)


@pytest.mark.parametrize("where", ["http://gemini.invalid", "https"], ids=["DNS", "TLS"])
async def test_a_name_that_is_not_found_and_a_handshake_that_fails_are_told_as_unavailable(
    clusters: Clusters, gemini: Gemini, where: str
) -> None:
    address = where if where != "https" else gemini.url.replace("http:", "https:")
    settings = {**IMPATIENT, "RETRY_LIMIT": "1", "GEMINI_FALLBACK_MODELS": "", "GOOGLE_GEMINI_BASE_URL": address}
    cluster = await clusters.start(worker=settings)
    async with User(cluster.any_url) as user:
        reader = await user.ask(prompt("nowhere"))
        assert reader.types() == ["failed"]
        assert (_end(reader)["error"], _end(reader)["retryable"]) == ("unavailable", True)
        await _is_pending_again(user)


async def test_a_newer_message_is_not_overwritten_by_one_that_failed(user: User, gemini: Gemini) -> None:
    failing, newer = prompt("failing", "hold=1 status=200"), prompt("newer")
    await gemini.script(Script(hold=-1, status=400), match=failing)
    await user.upload(picture())
    await user.chat(failing)
    async with user.stream() as reader:
        await gemini.call_about(failing, held=True)
        await user.chat(newer)
        await gemini.release()
        await reader.until("failed")
    assert (await user.session())["pending"] == {"message": True, "images": 0}
    assert (await user.read()).text == expected_answer(newer)
    assert [text for role, text in await user.conversation() if role == "user"] == [newer]


async def test_usage_of_broken_attempts_is_booked(user: User, gemini: Gemini) -> None:
    asked = prompt("expensive", "fault=close at=3 delay=0.05 times=1")
    done = _end(await user.ask(asked))["usage"]
    booked = (await user.session())["usage"]
    assert (await user.history())[1]["usage"] == done
    assert booked["input_tokens"] == 2 * done["input_tokens"]
    assert booked["output_tokens"] > done["output_tokens"]


async def test_the_key_is_in_no_log_and_no_answer(impatient: Cluster, user: User, gemini: Gemini) -> None:
    reader = await user.ask(prompt("leaky", "status=403"))
    [worker] = impatient.workers
    assert worker.key not in reader.connections[0].raw.decode()
    for process in (*impatient.gateways, worker):
        assert worker.key not in process.output
