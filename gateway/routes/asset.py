"""A file as it is sent: the same to everybody."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from quart import Response, request

ASK_EACH_TIME = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    content_type: str
    etag: str
    cache_control: str

    @classmethod
    def of(cls, content: bytes, content_type: str, cache_control: str = ASK_EACH_TIME) -> Self:
        return cls(content, content_type, sha256(content).hexdigest()[:32], cache_control)

    async def send(self) -> Response:
        """The file, or 304 to a caller who has it."""
        response = Response(self.content, content_type=self.content_type)
        response.set_etag(self.etag)
        response.headers["Cache-Control"] = self.cache_control
        return await response.make_conditional(request)
