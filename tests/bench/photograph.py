"""A JPEG of about 4 MB, as a telephone makes them, and its upload."""

import asyncio
import io
from functools import cache

from PIL import Image

_SIZE = (4000, 3000)
_GRAIN = 26
"""How noisy the picture is, which decides how large the file becomes."""

_BOUNDARY = b"ishmael"


@cache
def photograph() -> bytes:
    bands = [Image.effect_noise(_SIZE, _GRAIN) for _ in range(3)]
    content = io.BytesIO()
    Image.merge("RGB", bands).save(content, "JPEG", quality=75)
    return content.getvalue()


@cache
def request() -> bytes:
    body = (
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="whale.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%b\r\n--%b--\r\n" % (_BOUNDARY, photograph(), _BOUNDARY)
    )
    return (
        b"POST /upload HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
        b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n%b" % (_BOUNDARY, len(body), body)
    )


async def upload(port: int) -> None:
    """Raises ``AssertionError`` where it is not accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request())
        await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
