"""The real SDK over HTTP against the stand-in Gemini: every shape of an answer, every fault, and every way to leave."""

import asyncio
import base64
import email.utils
import json
import socket
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types

from gateway.state.records import Usage
from tests.gemini_server import Call, GeminiServer, Script, expected_answer
from tests.gemini_server.script import SECRET_DETAIL
from tests.gemini_server.shapes import canonical
from tests.sink import Heard
from workers.gemini import GeminiModel, machinery
from workers.model import End, Fault, GenerationError
from workers.prompt import Blob, Message, Prompt
from workers.settings import WorkerSettings

KEY = "AIzaSyTest-key_that-nobody-may-see-0123"
MODEL = "gemini-2.5-flash"
NOW = 1_700_000_000.0

EVERY_SETTING = {
    "gemini_system_instruction": "Be brief. \u2028 é",
    "gemini_temperature": 0.0,
    "gemini_top_p": 0.5,
    "gemini_top_k": 40,
    "gemini_max_output_tokens": 100,
    "gemini_thinking_budget": 0,
}
SCHEMA = {"type": "object", "properties": {"contents": {"type": "string", "default": None}}, "_x": [1.5, True, "é"]}


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server and one SDK client, which is slow to make


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[GeminiServer]:
    async with GeminiServer(key=KEY) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["direct", "sdk"])
async def model(server: GeminiServer, request: pytest.FixtureRequest) -> AsyncIterator[GeminiModel]:
    """Read by the worker itself and by the SDK: both must come to the same."""
    async with model_at(server.url, gemini_reader=request.param) as model:
        yield model


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def gemini(server: GeminiServer) -> AsyncIterator[GeminiServer]:
    await server.listen()
    server.clear()
    yield server


@asynccontextmanager
async def model_at(url: str, **settings: Any) -> AsyncIterator[GeminiModel]:
    known = WorkerSettings(google_api_key=KEY, google_gemini_base_url=url, **settings)
    model = GeminiModel(known, clock=lambda: NOW)
    try:
        yield model
    finally:
        await model.aclose()


def said(text: str) -> Prompt:
    return Prompt((Message("user", (text,)),))


async def read(model: GeminiModel, prompt: Prompt | str, name: str = MODEL) -> tuple[Heard, End]:
    heard = Heard()
    return heard, await model.generate(said(prompt) if isinstance(prompt, str) else prompt, name, heard)


async def text_from(model: GeminiModel, prompt: Prompt | str, name: str = MODEL) -> str:
    heard, _ = await read(model, prompt, name)
    return heard.text


async def fails(model: GeminiModel, prompt: str) -> tuple[str, GenerationError]:
    """The text that came, and the error that then came: soon, as nobody but the worker waits and tries again."""
    heard = Heard()
    try:
        async with asyncio.timeout(2):
            await model.generate(said(prompt), MODEL, heard)
    except GenerationError as error:
        return heard.text, error
    pytest.fail(f"no error after {heard.text!r}")


def _build(_method: str, _path: str, _content: dict[str, Any], _options: None) -> None: ...


def _send(_request: None, _stream: Any) -> None: ...


class TestAnswers:
    async def test_an_answer_comes_whole_with_usage_and_a_finish_reason_at_its_end(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        heard, end = await read(model, "hello [[chunks=30 thoughts=2]]")

        assert heard.text == expected_answer("hello [[chunks=30 thoughts=2]]")
        assert end.finish_reason == "STOP"
        assert gemini.calls[0].ended == "whole"
        assert gemini.calls[0].key == KEY

    async def test_usage_grows_and_thinking_counts_as_output_but_is_no_text(self, model: GeminiModel) -> None:
        heard, end = await read(model, "why? [[chunks=2 thoughts=1 text=abcdefgh]]")

        assert heard.pieces == [("", Usage(10, 6, 16)), ("abcd", Usage(10, 7, 17)), ("efgh", Usage(10, 8, 18))]
        assert end == End("STOP", Usage(10, 8, 18), MODEL)

    @pytest.mark.parametrize("newline", ["crlf", "lf"])
    @pytest.mark.parametrize("split", [1, 2, 3, 7, -1])
    async def test_bytes_may_be_split_anywhere(self, model: GeminiModel, split: int, newline: str) -> None:
        prompt = f"漢字 é 😀 [[split={split} newline={newline} thoughts=1]]"

        assert await text_from(model, prompt) == expected_answer(prompt)

    async def test_whitespace_and_line_breaks_of_every_kind_survive(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        text = '  a\r\nb\rc\n\n\u2028d\u2029e\x85f\t\x0b \U0001f468\u200d\U0001f469 \\n "q" data: x\n\n'
        gemini.script(Script(text=text, chunks=40, split=3))

        assert await text_from(model, "anything") == text

    @pytest.mark.parametrize(
        "reason", ["STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "PROHIBITED_CONTENT", "SPII", "OTHER"]
    )
    @pytest.mark.parametrize("apart", ["", "apart"])
    async def test_a_finish_reason_is_an_end_whatever_it_is(self, model: GeminiModel, reason: str, apart: str) -> None:
        prompt = f"go on [[finish={reason} {apart}]]"
        heard, end = await read(model, prompt)

        assert heard.text == expected_answer(prompt)
        assert end.finish_reason == reason

    @pytest.mark.filterwarnings("ignore:SOMETHING_NEW")  # the SDK's own
    async def test_a_finish_reason_that_the_sdk_does_not_know_yet_is_an_end_too(self, model: GeminiModel) -> None:
        _, end = await read(model, "go on [[finish=SOMETHING_NEW]]")

        assert end.finish_reason == "SOMETHING_NEW"

    async def test_an_answer_without_any_text_can_be_whole(self, model: GeminiModel) -> None:
        heard, end = await read(model, "think [[chunks=0 thoughts=3 finish=MAX_TOKENS]]")

        assert heard.text == ""
        assert end.finish_reason == "MAX_TOKENS"
        assert end.usage == heard.pieces[-1][1]

    @pytest.mark.parametrize("trouble", ["fault=reset at=8", "fault=close at=8", "fault=garbage at=8", "hold=8"])
    async def test_trouble_after_the_finish_reason_does_not_make_an_answer_less_whole(
        self, gemini: GeminiServer, trouble: str
    ) -> None:
        async with model_at(gemini.url, gemini_chunk_timeout=0.5) as model:
            heard, end = await read(model, f"hello [[{trouble}]]")

        assert heard.text == expected_answer(f"hello [[{trouble}]]")
        assert end.finish_reason == "STOP"

    async def test_a_connection_serves_one_answer_after_another(self, gemini: GeminiServer, model: GeminiModel) -> None:
        for _ in range(3):
            await read(model, "again")

        assert len({call.connection for call in gemini.calls}) == 1

    async def test_more_answers_than_any_default_limit_run_at_once(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(text_from(model, f"number {n} [[hold=1]]")) for n in range(150)]
            await gemini.wait_for(lambda calls: sum(call.held for call in calls) == 150)
            gemini.release()

        assert [task.result() for task in tasks] == [expected_answer(f"number {n} [[hold=1]]") for n in range(150)]


class TestRequests:
    async def test_a_conversation_keeps_its_roles_and_its_images_their_places(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        pixels = bytes(range(256))
        await read(
            model,
            Prompt(
                (
                    Message("user", (Blob("image/png", pixels), "what is this?")),
                    Message("model", ("a cat",)),
                    Message("user", (Blob("image/webp", b"\xff\xfe"),)),
                )
            ),
        )

        body = gemini.calls[0].body
        assert body is not None
        assert body["contents"] == [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": base64.urlsafe_b64encode(pixels).decode()}},
                    {"text": "what is this?"},
                ],
            },
            {"role": "model", "parts": [{"text": "a cat"}]},
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/webp", "data": "__4="}}]},
        ]
        assert set(body) <= {"contents", "generationConfig"}

    async def test_settings_reach_gemini_and_the_rest_is_left_to_it(self, gemini: GeminiServer) -> None:
        async with model_at(
            gemini.url,
            gemini_system_instruction="Be brief.",
            gemini_temperature=0.0,
            gemini_top_p=0.5,
            gemini_top_k=40,
            gemini_max_output_tokens=100,
            gemini_thinking_budget=0,
        ) as model:
            await read(model, "hello", "gemini-2.5-pro")

        body = gemini.calls[0].body
        assert body is not None
        assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
        assert body["generationConfig"] == {
            "temperature": 0.0,
            "topP": 0.5,
            "topK": 40.0,
            "maxOutputTokens": 100,
            "thinkingConfig": {"thinkingBudget": 0},
        }
        assert gemini.calls[0].model == "gemini-2.5-pro"

    async def test_a_schema_and_a_mime_type_reach_gemini(self, gemini: GeminiServer, model: GeminiModel) -> None:
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
        prompt = Prompt((Message("user", ("in JSON",)),), "application/json", schema)

        assert await text_from(model, prompt) == expected_answer("in JSON", json=True)
        body = gemini.calls[0].body
        assert body is not None
        assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}

    @pytest.mark.parametrize("settings", [{}, EVERY_SETTING], ids=["no setting", "every setting"])
    @pytest.mark.parametrize("asked", [(None, None), ("text/plain", None), ("application/json", SCHEMA)])
    @pytest.mark.parametrize("reader", ["direct", "sdk"])
    async def test_what_is_sent_is_what_the_sdk_sends_for_its_own_types(
        self, asked: tuple[str | None, Any], settings: dict[str, Any], reader: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        pixels = bytes(range(256))
        prompt = Prompt(
            (
                Message("user", (Blob("image/png", pixels), "what is this? \U0001f600\u2028")),
                Message("model", ('a "cat" \\ \x00 é',)),
                Message("user", (Blob("image/webp", b"\xff\xfe"), "and this? -")),
            ),
            *asked,
        )
        async with recorder() as (url, requests):
            async with model_at(url, gemini_reader=reader, **settings) as model:
                with pytest.raises(GenerationError):
                    await read(model, prompt)
            with pytest.raises(errors.APIError):
                await ask_with_typed_contents(url, prompt, WorkerSettings(**settings))

        ours, theirs = requests
        assert ours == theirs
        assert not [record for record in caplog.records if record.name.startswith("google")]

    async def test_with_a_version_of_the_sdk_without_the_machinery_below_its_models_calls_go_the_public_way(
        self, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.gemini.machinery", lambda _: None)
        async with model_at(gemini.url) as model:
            assert await text_from(model, "hello") == expected_answer("hello")
            with pytest.raises(GenerationError):
                await read(model, "hello [[status=503]]")
            with pytest.raises(GenerationError):
                await read(model, "\ud800")

    @pytest.mark.parametrize(
        "client",
        [
            SimpleNamespace(),
            SimpleNamespace(_api_client=SimpleNamespace()),
            SimpleNamespace(_api_client=SimpleNamespace(_build_request=_build, _async_request_once=_build)),
            SimpleNamespace(_api_client=SimpleNamespace(_build_request=_send, _async_request_once=_send)),
        ],
    )
    async def test_machinery_of_another_name_or_signature_is_not_used(self, client: Any) -> None:
        assert machinery(client) is None

    async def test_the_environment_of_another_product_of_google_changes_nothing(
        self, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "elsewhere")
        monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1")
        async with model_at(gemini.url) as model:
            assert await text_from(model, "hello") == expected_answer("hello")

    async def test_a_proxy_that_the_environment_names_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = asyncio.get_running_loop().create_future()

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set_result(await reader.readline())
            writer.close()

        async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listener:
            monkeypatch.delenv("no_proxy")
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
            async with model_at("http://gemini.invalid") as model:
                _, error = await fails(model, "hello")

        assert (await asked).startswith(b"POST http://gemini.invalid/v1beta/models/gemini-2.5-flash:stream")
        assert error.code == Fault.UNAVAILABLE


async def ask_with_typed_contents(url: str, prompt: Prompt, settings: WorkerSettings) -> None:
    """The SDK used as its manual says, with all of a prompt in its own types."""
    contents = [
        types.Content(
            role=message.role,
            parts=[
                types.Part(inline_data=types.Blob(mime_type=part.mime_type, data=part.content))
                if isinstance(part, Blob)
                else types.Part(text=part)
                for part in message.parts
            ],
        )
        for message in prompt.messages
    ]
    thinking = settings.gemini_thinking_budget
    config = types.GenerateContentConfig(
        system_instruction=settings.gemini_system_instruction or None,
        temperature=settings.gemini_temperature,
        top_p=settings.gemini_top_p,
        top_k=settings.gemini_top_k,
        max_output_tokens=settings.gemini_max_output_tokens,
        thinking_config=None if thinking is None else types.ThinkingConfig(thinking_budget=thinking),
        response_mime_type=prompt.mime_type,
        response_json_schema=prompt.schema,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    async with aiohttp.ClientSession() as session:
        options = types.HttpOptions(
            api_version="v1beta",
            base_url=url,
            aiohttp_client=session,
            retry_options=types.HttpRetryOptions(attempts=1),
        )
        models = genai.Client(api_key=KEY, vertexai=False, http_options=options).aio.models
        async for _ in await models.generate_content_stream(model=MODEL, contents=contents, config=config):
            pass


REFUSALS = [
    ("status=400", Fault.BAD_REQUEST),
    ("status=400 reason=API_KEY_INVALID", Fault.UNAUTHORIZED),
    ("status=401", Fault.UNAUTHORIZED),
    ("status=403", Fault.UNAUTHORIZED),
    ("status=404", Fault.NOT_FOUND),
    ("status=408", Fault.TIMEOUT),
    ("status=413", Fault.BAD_REQUEST),
    ("status=429", Fault.RATE_LIMITED),
    ("status=500", Fault.UNAVAILABLE),
    ("status=502 body=<h1>Bad", Fault.UNAVAILABLE),
    ("status=503", Fault.UNAVAILABLE),
    ("status=503 body=", Fault.UNAVAILABLE),
    ("status=503 body=[] type=application/json", Fault.UNAVAILABLE),
    ("status=503 body={ type=application/json", Fault.UNAVAILABLE),
    ("status=504", Fault.TIMEOUT),
    ("fault=reset at=-1", Fault.UNAVAILABLE),
    ("fault=close at=-1", Fault.UNAVAILABLE),
    ("fault=reset", Fault.UNAVAILABLE),
    ("fault=close", Fault.UNAVAILABLE),
    ("fault=end", Fault.EMPTY),
    ("fault=garbage", Fault.GARBLED),
    ("fault=json", Fault.GARBLED),
    ("fault=shape", Fault.GARBLED),
    ("fault=error status=429", Fault.RATE_LIMITED),
    ("block=SAFETY", Fault.BLOCKED),
    ("block=PROHIBITED_CONTENT", Fault.BLOCKED),
]

BREAKS = [
    ("fault=reset", Fault.UNAVAILABLE),
    ("fault=close", Fault.UNAVAILABLE),
    ("fault=end", Fault.TRUNCATED),
    ("fault=error status=503", Fault.UNAVAILABLE),
    ("fault=error status=429", Fault.RATE_LIMITED),
    ("fault=error status=400", Fault.BAD_REQUEST),
    ("fault=raw_error status=500", Fault.UNAVAILABLE),
    ("fault=raw_error status=504", Fault.TIMEOUT),
    ("fault=garbage", Fault.GARBLED),
    ("fault=json", Fault.GARBLED),
    ("fault=shape", Fault.GARBLED),
]


class TestFaults:
    @pytest.mark.parametrize(("trouble", "fault"), REFUSALS)
    async def test_a_fault_before_the_answer_has_one_ending_after_one_call(
        self, gemini: GeminiServer, model: GeminiModel, trouble: str, fault: Fault
    ) -> None:
        text, error = await fails(model, f"hello [[{trouble}]]")

        assert (text, error.code) == ("", fault)
        assert len(gemini.calls) == 1

    @pytest.mark.parametrize(("trouble", "fault"), BREAKS)
    @pytest.mark.parametrize("split", [0, 5])
    async def test_a_fault_in_mid_answer_has_one_ending_after_the_text_that_came(
        self, gemini: GeminiServer, model: GeminiModel, trouble: str, fault: Fault, split: int
    ) -> None:
        prompt = f"hello [[{trouble} at=3 split={split}]]"
        text, error = await fails(model, prompt)

        assert error.code == fault
        assert text == " ".join(expected_answer(prompt).split(" ")[:3]) + " "
        assert len(gemini.calls) == 1

    async def test_all_text_without_a_finish_reason_is_truncated_all_the_same(self, model: GeminiModel) -> None:
        prompt = "hello [[apart fault=end at=8]]"
        text, error = await fails(model, prompt)

        assert text == expected_answer(prompt)
        assert error.code == Fault.TRUNCATED

    async def test_a_refused_connection_is_told_at_once(self, gemini: GeminiServer, model: GeminiModel) -> None:
        await gemini.refuse()
        _, error = await fails(model, "hello")

        assert error.code == Fault.UNAVAILABLE

    @pytest.mark.parametrize("url", ["http://gemini.invalid", "http://127.0.0.1:1"])
    async def test_an_address_that_does_not_exist_is_unavailable(self, url: str) -> None:
        async with model_at(url) as model:
            _, error = await fails(model, "hello")

        assert error.code == Fault.UNAVAILABLE

    async def test_a_failed_tls_handshake_is_unavailable(self, gemini: GeminiServer) -> None:
        async with model_at(gemini.url.replace("http:", "https:")) as model:
            _, error = await fails(model, "hello")

        assert error.code == Fault.UNAVAILABLE

    async def test_connecting_is_bounded(self, silent_port: int) -> None:
        async with model_at(f"https://127.0.0.1:{silent_port}", gemini_connect_timeout=0.1) as model:
            _, error = await fails(model, "hello")

        assert error.code == Fault.UNAVAILABLE

    async def test_the_bound_on_connecting_does_not_bound_the_wait_for_an_answer(self, gemini: GeminiServer) -> None:
        async with model_at(gemini.url, gemini_connect_timeout=0.4) as model:
            prompt = "hello [[first=0.6]]"
            assert await text_from(model, prompt) == expected_answer(prompt)

    @pytest.mark.parametrize("hold", [-1, 0])
    async def test_silence_before_the_first_chunk_is_a_timeout_and_closes_the_call(
        self, gemini: GeminiServer, hold: int
    ) -> None:
        async with model_at(gemini.url, gemini_first_chunk_timeout=0.4) as model:
            text, error = await fails(model, f"hello [[hold={hold}]]")
            await gemini.wait_for(disconnected)

        assert (text, error.code) == ("", Fault.TIMEOUT)

    async def test_silence_in_mid_answer_is_a_timeout_and_closes_the_call(self, gemini: GeminiServer) -> None:
        async with model_at(gemini.url, gemini_chunk_timeout=0.4) as model:
            text, error = await fails(model, "hello [[hold=3]]")
            await gemini.wait_for(disconnected)

        assert (len(text.split()), error.code) == (3, Fault.TIMEOUT)

    async def test_bounds_are_on_silence_and_not_on_the_whole_answer(self, gemini: GeminiServer) -> None:
        async with model_at(gemini.url, gemini_first_chunk_timeout=0.5, gemini_chunk_timeout=0.5) as model:
            prompt = "hello [[chunks=9 delay=0.1]]"
            assert await text_from(model, prompt) == expected_answer(prompt)

    @pytest.mark.parametrize("reader", ["direct", "sdk"])
    async def test_bytes_that_never_become_a_response_are_silence(self, reader: str) -> None:
        async with trickle() as url, model_at(url, gemini_first_chunk_timeout=0.4, gemini_reader=reader) as model:
            text, error = await fails(model, "hello")

        assert (text, error.code) == ("", Fault.TIMEOUT)

    @pytest.mark.parametrize("reader", ["direct", "sdk"])
    async def test_time_in_which_there_is_no_room_is_no_silence(self, gemini: GeminiServer, reader: str) -> None:
        loop, prompt = asyncio.get_running_loop(), "hello [[chunks=2 delay=0.05]]"

        def fill(_: str) -> None:
            heard.full = True

        async def make_room() -> None:
            later = asyncio.Event()
            loop.call_later(0.3, later.set)
            await later.wait()
            heard.full = False

        heard = Heard(fill)
        heard.make_room = make_room
        async with model_at(gemini.url, gemini_chunk_timeout=0.2, gemini_reader=reader) as model:
            await model.generate(said(prompt), MODEL, heard)

        assert heard.text == expected_answer(prompt)

    async def test_a_blocked_prompt_names_geminis_reason(self, model: GeminiModel) -> None:
        _, error = await fails(model, "hello [[block=PROHIBITED_CONTENT]]")

        assert "PROHIBITED_CONTENT" in error.message
        assert not error.retryable

    @pytest.mark.parametrize(
        ("asked", "seconds"),
        [
            ("retry_after=7", 7.0),
            (f'retry_after="{email.utils.formatdate(NOW + 20, usegmt=True)}"', 20.0),
            (f'retry_after="{email.utils.formatdate(NOW - 20, usegmt=True)}"', 0.0),
            ("retry_after=soon", None),
            ("retry_delay=37.5s", 37.5),
            ("retry_delay=2s retry_after=1", 2.0),
            ("", None),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    async def test_how_long_gemini_asks_to_wait_is_read_from_header_and_body(
        self, model: GeminiModel, status: int, asked: str, seconds: float | None
    ) -> None:
        _, error = await fails(model, f"hello [[status={status} {asked}]]")

        assert error.retry_after == seconds

    async def test_a_delay_asked_for_in_mid_stream_is_read_too(self, model: GeminiModel) -> None:
        _, error = await fails(model, "hello [[fault=error status=429 at=2 retry_delay=12s]]")

        assert error.retry_after == 12.0

    @pytest.mark.parametrize("prompt", [said("\ud800"), Prompt((Message("user", ("x",)),), None, {"x": object()})])
    async def test_a_prompt_that_cannot_be_sent_is_a_bad_request(
        self, gemini: GeminiServer, model: GeminiModel, prompt: Prompt
    ) -> None:
        with pytest.raises(GenerationError) as raised:
            await read(model, prompt)

        assert raised.value.code == Fault.BAD_REQUEST
        assert raised.value.__context__ is None
        assert not gemini.calls

    async def test_what_gemini_itself_refuses_is_refused_by_the_stand_in(self, gemini: GeminiServer) -> None:
        async with model_at(gemini.url) as model:
            with pytest.raises(GenerationError) as unknown:
                await read(model, "hello", "no-such-model")
            with pytest.raises(GenerationError) as empty:
                await read(model, Prompt((Message("user", ("",)),)))
        other = WorkerSettings(google_api_key="wrong", google_gemini_base_url=gemini.url)
        model = GeminiModel(other)
        with pytest.raises(GenerationError) as wrong_key:
            await read(model, "hello")
        await model.aclose()

        assert unknown.value.code == Fault.NOT_FOUND
        assert empty.value.code == Fault.BAD_REQUEST
        assert wrong_key.value.code == Fault.UNAUTHORIZED


class TestSecrets:
    @pytest.mark.parametrize(("trouble", "fault"), [*REFUSALS, *BREAKS])
    async def test_users_see_neither_upstream_bodies_nor_addresses_nor_the_key(
        self, gemini: GeminiServer, model: GeminiModel, trouble: str, fault: Fault
    ) -> None:
        _, error = await fails(model, f"hello [[{trouble}]]")
        told = f"{error} {error.message}"
        logged = "".join(traceback.format_exception(error)) + error.detail + repr(model) + repr(error)

        assert SECRET_DETAIL not in told
        assert gemini.url.removeprefix("http://") not in told
        assert KEY not in told + logged
        assert error.__context__ is None

    async def test_a_key_that_gemini_quotes_is_kept_from_the_log(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        gemini.script(Script(status=403, message=f"Consumer 'api_key:{KEY}' has been suspended."))
        _, error = await fails(model, "hello")

        assert "has been suspended" in error.detail
        assert KEY not in error.detail


class TestLeaving:
    @pytest.mark.parametrize("hold", [-1, 0, 3])
    async def test_cancelling_the_task_closes_the_upstream_call(
        self, gemini: GeminiServer, model: GeminiModel, hold: int
    ) -> None:
        task = asyncio.create_task(read(model, f"hello [[hold={hold}]]"))
        await gemini.wait_for(lambda calls: bool(calls) and calls[0].held)
        task.cancel()
        await asyncio.wait([task])

        await gemini.wait_for(disconnected)
        assert task.cancelled()

    @pytest.mark.parametrize("error", [GenerationError(Fault.TOO_LONG), KeyError("a mistake")])
    async def test_what_the_sink_raises_ends_the_call_and_is_told(
        self, gemini: GeminiServer, model: GeminiModel, error: Exception
    ) -> None:
        def refuse(_: str) -> None:
            raise error

        heard = Heard(refuse)
        with pytest.raises(type(error)) as raised:
            await model.generate(said("hello [[hold=3]]"), MODEL, heard)

        assert raised.value is error
        assert len(heard.pieces) == 1
        await gemini.wait_for(disconnected)

    async def test_an_answer_whose_last_piece_the_sink_refuses_is_not_whole(self, model: GeminiModel) -> None:
        def refuse(_: str) -> None:
            raise KeyError("a mistake")

        with pytest.raises(KeyError):
            await model.generate(said("hello [[chunks=1]]"), MODEL, Heard(refuse))

    async def test_cancelling_a_task_that_waits_for_room_closes_the_upstream_call(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        waits = asyncio.Event()

        async def no_room() -> None:
            waits.set()
            await asyncio.Event().wait()

        def fill(_: str) -> None:
            heard.full = True

        heard = Heard(fill)
        heard.make_room = no_room
        task = asyncio.create_task(model.generate(said("hello [[hold=3]]"), MODEL, heard))
        await waits.wait()
        task.cancel()
        await asyncio.wait([task])

        await gemini.wait_for(disconnected)
        assert len(heard.pieces) == 1

    async def test_a_call_that_is_closed_leaves_the_others_alone(
        self, gemini: GeminiServer, model: GeminiModel
    ) -> None:
        async with asyncio.TaskGroup() as group:
            stays = group.create_task(text_from(model, "stays [[hold=2]]"))
            leaves = group.create_task(read(model, "leaves [[hold=2]]"))
            await gemini.wait_for(lambda calls: sum(call.held for call in calls) == 2)
            leaves.cancel()
            await gemini.wait_for(lambda calls: any(call.ended == "disconnected" for call in calls))
            gemini.release()

        assert stays.result() == expected_answer("stays [[hold=2]]")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and not a word is said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


Recorded = tuple[list[bytes], object]
"""The lines of a request's head, in alphabetical order, and its JSON."""


@asynccontextmanager
async def recorder() -> AsyncIterator[tuple[str, list[Recorded]]]:
    """An address that refuses every request, and what it was asked, each name in camelCase: Gemini takes either."""
    requests: list[Recorded] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).splitlines()
        sizes = [line for line in lines if line.lower().startswith(b"content-length:")]
        body = await reader.readexactly(int(sizes[0].split(b":")[1]))
        requests.append((sorted(set(lines) - set(sizes)), canonical(json.loads(body))))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", requests


@asynccontextmanager
async def trickle() -> AsyncIterator[str]:
    """An answer of which a little comes all the time, and never a whole response."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)  # as slow as a stand-in for a slow server has to be

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def disconnected(calls: Sequence[Call]) -> bool:
    return [call.ended for call in calls] == ["disconnected"]
