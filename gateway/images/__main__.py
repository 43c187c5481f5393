"""``python -m gateway.images <limits as JSON>``: decodes one picture after the other, until nobody asks any more.

It is started and ended by a gateway's ``ImageDecoder``, and ends by itself where that was killed: its standard input is
over then. Terminal and service manager may send their signals to whole families: it is the gateway that heeds them.
"""

import io
import logging
import os
import resource
import signal
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import msgspec
from PIL import Image as Pillow

from gateway.images.frames import Asked, Kept, Refused, head
from gateway.images.limits import ImageLimits
from gateway.images.picture import Refusal, decode
from gateway.state.records import Image

_NICE = 10
"""Streams go first: where CPU is short, a picture waits."""
_CPU_SECONDS = 20
"""Most that one picture may take; it ends the process (SIGXCPU)."""
_MEMORY = 256 * 2**20
_MEMORY_FOR_A_PIXEL = 24
"""Four bytes for each, held six times over at the worst: an animated WebP."""


def main(limits: ImageLimits) -> None:
    _close_all_but_standard_files()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_DATA, _MEMORY + _MEMORY_FOR_A_PIXEL * limits.pixels + 4 * limits.stored_bytes)
    Pillow.MAX_IMAGE_PIXELS = limits.pixels
    logging.disable()  # What Pillow remarks on a stranger's bytes has no place in the gateway's log.
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Pillow.DecompressionBombWarning)
    with (
        open(0, "rb", closefd=False) as source,
        open(1, "wb", buffering=0, closefd=False) as sink,
        suppress(ConnectionError),
    ):
        _serve(source, sink, limits)


def _close_all_but_standard_files() -> None:
    """Whatever whoever started it has let through: what looks at a stranger's bytes is to hold nothing."""
    for file in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):  # The listing's own is closed by now.
            if int(file.name) > sys.stderr.fileno():
                os.close(int(file.name))


def _bound(kind: int, soft: int) -> None:
    """Where the system gives less, that stays the bound; where it knows none of the kind (macOS), there is none."""
    hard = resource.getrlimit(kind)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _serve(source: io.BufferedReader, sink: io.FileIO, limits: ImageLimits) -> None:
    """Raises ConnectionError where the gateway went without having heard an answer to its end."""
    while line := source.readline():
        asked = msgspec.json.decode(line, type=Asked)
        content = source.read(asked.size)
        if len(content) < asked.size:
            return
        _bound(resource.RLIMIT_CPU, int(time.process_time()) + 1 + _CPU_SECONDS)
        _answer(sink, _looked_at(content, asked.name, limits))


def _looked_at(content: bytes, name: str, limits: ImageLimits) -> Image | Refused:
    try:
        return decode(content, name, limits)
    except Refusal as refusal:
        reason = type(refusal.__cause__).__name__ if refusal.__cause__ else ""
        return Refused(refusal.code, refusal.message, reason)


def _answer(sink: io.FileIO, answer: Image | Refused) -> None:
    if isinstance(answer, Refused):
        _write(sink, head(answer))
        return
    ref = answer.ref
    kept = {"id": ref.id, "mime_type": ref.mime_type, "width": ref.width, "height": ref.height, "size": ref.size}
    _write(sink, head(msgspec.convert(kept, Kept)))
    _write(sink, answer.content)


def _write(sink: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[sink.write(rest) :]


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=ImageLimits))
