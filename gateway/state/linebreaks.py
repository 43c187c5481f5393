"""One kind of line break in turn logs: whatever a model writes (CR, LF, CRLF), logs hold LF.

An event stream cannot carry the difference (WHATWG HTML 9.2.6 ends a line at any of the three), and a CRLF that two log
entries share would reach readers as two breaks. So the writer of a log settles it once, for every reader and history.
"""


class LineBreaks:
    """Turns CRLF and CR into LF over one attempt's text, however that is cut into chunks.

    Holds no text back: a CR at a chunk's end becomes LF at once, and an LF that begins the next chunk is dropped. What
    comes out, joined, is the joined input with ``\\r\\n`` and then ``\\r`` replaced by ``\\n``.
    """

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, chunk: str) -> str:
        """The next text to write; empty when there is none (yet)."""
        if not chunk:
            return chunk
        if self._after_cr and chunk[0] == "\n":
            chunk = chunk[1:]
        self._after_cr = chunk.endswith("\r")
        if "\r" in chunk:
            chunk = chunk.replace("\r\n", "\n").replace("\r", "\n")
        return chunk
