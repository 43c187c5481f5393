"""What the responses of one call say, whoever read them: the SDK or ``workers.reader``."""

import re
from enum import Enum

from gateway.state.records import Usage
from workers.model import End, Fault, GenerationError, Sink
from workers.reader import Response, UsageMetadata

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class Answer:
    """Puts what is said into a sink, and keeps what the end needs."""

    def __init__(self, sink: Sink) -> None:
        self.begun = False
        self.finish_reason: str | None = None
        self.refusal: Exception | None = None
        """What the sink raised."""
        self._sink = sink
        self._usage: Usage | None = None
        self._model: str | None = None

    def take(self, response: Response) -> None:
        """Raises ``GenerationError`` for a blocked prompt, and what the sink raises. The SDK's responses will do: their
        fields are the same, but that reasons are enums.
        """
        self.begun = True
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason is not None:
            reason = _name(feedback.block_reason) or "OTHER"
            raise GenerationError(Fault.BLOCKED, message=f"Gemini refused to answer this message (reason: {reason}).")
        usage, text = None, ""
        if response.usage_metadata is not None:
            usage = self._usage = _usage(response.usage_metadata)
        if response.candidates:
            candidate = response.candidates[0]
            if candidate.finish_reason is not None:
                self.finish_reason = _name(candidate.finish_reason) or self.finish_reason
                self._model = response.model_version
            parts = (candidate.content and candidate.content.parts) or ()
            text = "".join([part.text for part in parts if part.text and not part.thought])
        if text or usage is not None:
            try:
                self._sink.put(text, usage)
            except Exception as error:
                self.refusal = error
                raise

    def end(self) -> End:
        """Raises ``GenerationError`` where the stream ended but the answer did not."""
        if self.finish_reason is None:
            raise GenerationError(Fault.TRUNCATED if self.begun else Fault.EMPTY)
        return End(self.finish_reason, self._usage, self._model)


def _usage(counts: UsageMetadata) -> Usage:
    asked = (counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0)
    answered = (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0)
    return Usage(asked, answered, counts.total_token_count or asked + answered)


def _name(reason: Enum | str) -> str | None:
    """A reason as Gemini spells it; ``None`` for "unspecified", and for what is no such name."""
    name = str(reason.value if isinstance(reason, Enum) else reason)
    return name if _REASON.fullmatch(name) and not name.endswith("_UNSPECIFIED") else None
