"""A strict reader of event streams for tests, written from the standard alone: WHATWG HTML, 9.2.5 and 9.2.6.

Shares no code with the gateway's encoder, so that an error in one cannot hide in the other.
"""

import codecs
import re
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Event:
    """A dispatched event, as a page's listener gets it."""

    type: str
    data: str
    last_event_id: str


class Parser:
    """Feeds on bytes cut anywhere; gives the events that they complete, as "interpreting an event stream" says.

    ``last_event_id`` (set anew by each of the ``blocks`` ended by a blank line, even one without data) and ``retry``
    (milliseconds) are what the stream makes of the event source's own state.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.blocks = 0
        self.retry: int | None = None
        self.comments: list[str] = []
        # "UTF-8 decode" strips one leading byte order mark and replaces malformed sequences.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._at_start = True
        self._after_cr = False
        self._line = ""
        self._data = ""
        self._type = ""
        self._id = ""

    def feed(self, chunk: bytes) -> list[Event]:
        text = self._decoder.decode(chunk)
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        return [event for line in self._lines(text) if (event := self._process(line)) is not None]

    def end(self) -> None:
        """The stream ended: "once the end of the file is reached, any pending data must be discarded"."""
        self._line = self._data = self._type = ""

    def _lines(self, text: str) -> list[str]:
        """The lines that ``text`` completes: each ended by CRLF, LF alone or CR alone."""
        if not text:
            return []
        if self._after_cr:
            text = text.removeprefix("\n")  # the second half of a CRLF that was cut in two
        self._after_cr = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        if not others:
            self._line += first
            return []
        lines = [self._line + first, *others[:-1]]
        self._line = others[-1]
        return lines

    def _process(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            self.comments.append(line[1:])
            return None
        name, _, value = line.partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value and all("0" <= digit <= "9" for digit in value):
            self.retry = int(value)

    def _dispatch(self) -> Event | None:
        self.blocks += 1
        self.last_event_id = self._id
        data, self._data = self._data, ""
        kind, self._type = self._type, ""
        if not data:
            return None
        return Event(kind or "message", data.removesuffix("\n"), self.last_event_id)


def parse(stream: bytes) -> list[Event]:
    """All events of a whole stream."""
    parser = Parser()
    events = parser.feed(stream)
    parser.end()
    return events


def text_of(events: list[Event]) -> str:
    """The answer as a page puts it together: unnamed events appended, ``reset`` starts over."""
    text = ""
    for event in events:
        if event.type == "message":
            text += event.data
        elif event.type == "reset":
            text = ""
    return text
