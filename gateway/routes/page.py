"""The chat page: GET /ui, what it loads from below /ui/, and GET /client.js, the module for people's own frontends."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Self

from quart import Blueprint, Response, redirect
from werkzeug.wrappers import Response as Redirect

from gateway.guards.origin import open_to_all
from gateway.problems import NotFound
from gateway.routes.asset import ASK_EACH_TIME, FOR_EVER, Asset

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",  # thumbnails of pictures that are not sent yet
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "dompurify",
}
CONTENT_SECURITY_POLICY = "; ".join(f"{kind} {allowed}" for kind, allowed in _SOURCES.items())
"""Nothing but this gateway's own files runs, styles or is asked. Text that became an element all the same could do
nothing: no inline script or style, no address but our own, no string that becomes HTML past the sanitiser."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_DOCUMENT = "index.html"
_CLIENT = "client.js"


class Page:
    """The files are read once, here: a replica serves one version of them for as long as it lives."""

    def __init__(self, assets: dict[str, Asset]) -> None:
        self._assets = assets

    @classmethod
    def load(cls) -> Self:
        return cls(dict(_below(files("gateway") / "page")))

    def blueprint(self) -> Blueprint:
        routes = Blueprint("page", __name__)
        routes.add_url_rule("/ui", "document", self.document, methods=["GET"])
        routes.add_url_rule("/ui/", "slash", self.slash, methods=["GET"])
        routes.add_url_rule("/ui/<path:name>", "asset", self.asset, methods=["GET"])
        routes.add_url_rule("/client.js", "client", self.client, methods=["GET"])
        return routes

    @open_to_all
    async def document(self) -> Response:
        response = await self._send(_DOCUMENT)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        return response

    @open_to_all
    async def slash(self) -> Redirect:
        # Relative, as a proxy may serve the gateway below a path of its own.
        return redirect("../ui", 308)

    @open_to_all
    async def asset(self, name: str) -> Response:
        if name in (_DOCUMENT, _CLIENT):  # Each has its one address.
            raise NotFound("There is no such file.")
        return await self._send(name)

    @open_to_all
    async def client(self) -> Response:
        response = await self._send(_CLIENT)
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    async def _send(self, name: str) -> Response:
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound("There is no such file.")
        return await asset.send()


def _below(folder: Traversable, prefix: str = "") -> list[tuple[str, Asset]]:
    """Every file of a known type, by its path below the page's folder."""
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _below(entry, f"{name}/")
        elif kind := _TYPES.get(PurePosixPath(name).suffix):
            # What lies in vendor/ has its version in its name.
            cache = FOR_EVER if name.startswith("vendor/") else ASK_EACH_TIME
            found.append((name, Asset.of(entry.read_bytes(), kind, cache)))
    return found
