"""One HTTP/1.1 answer, read only as far as load needs it: its status, its cookie, and where it ends."""

from tests.bench.request import content_length

_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_REMEMBERED = 1024
_TROUBLE = (b"event: failed", b"event: expired", b"event: reset", b"event: stopped")
_GOOD_ENDS = (b"event: done", b'"finishReason"')


class Answer:
    """Feeds on bytes cut anywhere. The body is handed on with its chunked framing: nobody has to look through it."""

    __slots__ = ("_head", "_left", "_tail", "cookie", "done", "status", "streamed", "trouble")

    def __init__(self) -> None:
        self.status = 0
        """0 until the head has come."""
        self.cookie = b""
        """What is to be sent back."""
        self.streamed = False
        self.trouble = ""
        self.done = False
        self._head = b""
        self._left = 0
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """The part of ``data`` that belongs to the body."""
        if not self.status:
            data = self._read_head(data)
            if not self.status:
                return b""
        if self.streamed:
            self._look(data)
        else:
            self._left -= len(data)
            self.done = self._left <= 0
        return data

    @property
    def whole(self) -> bool:
        """A stream that came to an answer's own end, or any other answer."""
        return not self.streamed or any(end in self._tail for end in _GOOD_ENDS)

    def _read_head(self, data: bytes) -> bytes:
        self._head += data
        end = self._head.find(_HEAD_END)
        if end < 0:
            return b""
        start, _, fields = self._head[:end].partition(b"\r\n")
        for line in fields.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"set-cookie":
                self.cookie = value.partition(b";")[0].strip()
        self.status = int(start.split(b" ")[1])
        length = 0 if self.status == 204 else content_length(fields)
        self.streamed = length is None
        self._left = length or 0
        # The CRLF before a first chunk belongs to the head: a body that has none still ends like any other.
        self._tail = b"\r\n"
        return self._head[end + len(_HEAD_END) :]

    def _look(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_REMEMBERED:]
        self.done = self._tail.endswith(_LAST_CHUNK)
        if b"event: " in data:
            for kind in _TROUBLE:
                if kind in data:
                    self.trouble = kind.decode()
