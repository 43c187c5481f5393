"""Gemini's answer in pieces, encoded beforehand but for the time (https://ai.google.dev/api/generate-content, SSE)."""

from functools import lru_cache

from tests.bench import stamp

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Disposition: attachment\r\n"
    b"Server: scaffolding on HTTPServer2\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_PROMPT_TOKENS = 12
_THOUGHTS = 96


def _event(candidate: bytes, tokens: int) -> bytes:
    usage = (
        b'"usageMetadata": {"promptTokenCount": %d,"candidatesTokenCount": %d,"totalTokenCount": %d,'
        b'"promptTokensDetails": [{"modality": "TEXT","tokenCount": %d}],"thoughtsTokenCount": %d}'
        % (_PROMPT_TOKENS, tokens, _PROMPT_TOKENS + tokens + _THOUGHTS, _PROMPT_TOKENS, _THOUGHTS)
    )
    identity = b'"modelVersion": "gemini-2.5-flash","responseId": "ZGlkIHlvdSByZWFkIHRoaXM"'
    event = b'data: {"candidates": [%b],%b,%b}\r\n\r\n' % (candidate, usage, identity)
    return b"%x\r\n%b\r\n" % (len(event), event)


@lru_cache(65_536)
def _frame(number: int) -> tuple[bytes, bytes]:
    """The ``number``-th chunk of an answer, before and after the digits of its stamp."""
    text = stamp.text(0)
    candidate = b'{"content": {"parts": [{"text": "%b"}],"role": "model"},"index": 0}' % text
    before, _, after = _event(candidate, 8 * (number + 1)).partition(b"%016d" % 0)
    return before, after


def chunk(number: int, moment: int) -> bytes:
    """One chunk of text, framed for HTTP."""
    before, after = _frame(number)
    return b"%b%016d%b" % (before, moment, after)


def end(number: int) -> bytes:
    """The finish reason after ``number`` chunks, and the end of the HTTP body."""
    return _event(b'{"content": {"role": "model"},"finishReason": "STOP","index": 0}', 8 * number) + b"0\r\n\r\n"
