"""A stand-in for the Gemini API: a real HTTP server that answers as told, breaks as told, and remembers every call.

It speaks ``POST /v1beta/models/{model}:streamGenerateContent?alt=sse`` and ``:generateContent`` with Gemini's JSON
shapes and event-stream framing, and ``GET /v1beta/models/{model}``. It refuses what Gemini refuses (no key, empty
parts, unknown roles, unknown models: those whose name does not begin with ``gemini-``).

In a test's own process::

    async with GeminiServer() as gemini:
        ...                                            # point GOOGLE_GEMINI_BASE_URL at gemini.url
        gemini.script(Script(status=503), times=2)     # the next two calls fail
        await gemini.wait_for(lambda calls: calls[0].ended == "disconnected")

As a process of its own, for tests with real workers: ``python -m tests.gemini_server [--port N] [--control-port N]``
prints one line ``{"url": "http://127.0.0.1:N", "control_url": "http://127.0.0.1:M"}`` once it listens, ends on SIGTERM
or SIGINT, and is told and asked over HTTP (``GeminiControl`` is a client for it).

The answer
    Numbered words that depend on the request's last user text alone, some of them beyond ASCII:
    ``expected_answer(prompt)`` is the whole text and ``expected_words(prompt)`` its words, so a reader can check each
    one. With ``responseMimeType: application/json`` the answer is the JSON ``{"answer": "<those words>"}``:
    ``expected_answer(prompt, json=True)``.

Behaviour of a call, first of these that applies
    1. the oldest queued script that fits the call (``GeminiServer.script`` or ``POST /control/script``);
    2. directives in the last user text: ``[[chunks=50 delay=0.02]]``, ``[[status=503 times=2]]``,
       ``[[fault=reset at=3]]``, ``[[text="two words" unique]]``;
    3. the server's default script.

Directives are the fields of ``Script``
    ==============  ===================================================================================================
    chunks=8        events that carry text
    words=1         words in each of them
    pad=0           characters added to each word, for bulk
    text=...        the answer itself, cut into ``chunks`` pieces, in place of numbered words
    unique          words carry the call's number too, so that two calls for one prompt can be told apart
    thoughts=0      thinking parts (``thought: true``) before the text; counted in ``thoughtsTokenCount``
    finish=STOP     the last event's ``finishReason``
    apart           ``finishReason`` comes in an event of its own, without content
    first=0         seconds before the answer's head
    delay=0         seconds before each event after the first
    split=0         bytes per HTTP chunk and write (0: one event each; -1: pseudo-random sizes)
    newline=crlf    or ``lf``: the line ends of the event stream
    hold=N          stop and wait after N text events until released: 0 after the head, -1 before the head
    status=503      answer with this HTTP status and Gemini's error body; with ``fault=error`` the code inside it
    retry_after=3   a ``Retry-After`` header: seconds or an HTTP date (quote it)
    retry_delay=3s  ``google.rpc.RetryInfo`` in the error's details
    reason=...      ``google.rpc.ErrorInfo``'s reason in the error's details (``API_KEY_INVALID``)
    message=...     the error's message: upstream detail that must not reach users
    body=...        the error answer's raw body instead of Gemini's JSON
    type=text/html  the content type of that raw body
    block=SAFETY    a blocked prompt: ``promptFeedback.blockReason`` and no candidate
    fault=...       see below; strikes after ``at`` text events (default 0)
    times=K         all trouble (hold, status, block, fault) strikes only the first K calls for this text (0: every)
    ==============  ===================================================================================================

Faults
    ``reset`` the connection is reset (RST) · ``close`` it is closed without the last HTTP chunk · ``end`` the stream
    ends cleanly without a finishReason (``at=0``: an empty stream) · ``error`` an ``{"error": {...}}`` event ·
    ``raw_error`` the same as bare, indented JSON lines, as Gemini sends it too · ``garbage`` bytes that are no event
    stream · ``json`` an event with broken JSON · ``shape`` an event with JSON of another shape. With ``at=-1``
    ``reset`` and ``close`` strike before the head; with ``at`` equal to ``chunks`` a fault comes after the
    finishReason, unless that is ``apart``. A refused connection: ``await gemini.refuse()`` / ``POST /control/refuse``,
    undone by ``listen``.

Control API: JSON over HTTP, at the control address and, while it listens, at the Gemini address too
    ``GET  /control/calls``     ``{"version": n, "calls": [Call...]}``. ``?bodies=1`` adds the request bodies (names in
                                camelCase, however they came); ``?since=n&timeout=5`` answers as soon as the version
                                has passed n, or after 5 s
    ``POST /control/script``    ``{"script": {...}, "match": "", "model": "", "times": 1}``: for the next ``times``
                                calls (0: for ever) whose last user text contains ``match`` and whose model is ``model``
    ``POST /control/default``   a script for calls without a queued script and without directives
    ``POST /control/release``   ``{"call": id}`` lets one held call go on; ``{}`` every held one
    ``POST /control/refuse``    stop listening at the Gemini address: connections are refused, idle ones closed
    ``POST /control/listen``    listen there again
    ``POST /control/clear``     forget calls, scripts and the default

A Call: ``id`` (from 1), ``at`` and ``ended_at`` (seconds of the system's monotonic clock, as ``time.monotonic()``),
``model``, ``stream``, ``key`` (the API key it came with), ``connection`` (the one it came by), ``text`` (its last user
text), ``messages`` (``[["user", ["text", "<image/png 68>"]], ...]``), ``body``, ``chunks`` (text events sent),
``held``, ``ended``: "" while it runs, ``whole``, ``fault`` (as scripted or refused), ``disconnected`` (the client went
away) or ``shutdown``.
"""

from tests.gemini_server.answers import expected_answer, expected_words
from tests.gemini_server.calls import Call
from tests.gemini_server.client import GeminiControl
from tests.gemini_server.script import Script
from tests.gemini_server.server import GeminiServer

__all__ = ["Call", "GeminiControl", "GeminiServer", "Script", "expected_answer", "expected_words"]
