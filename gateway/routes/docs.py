"""GET /openapi.json, and GET /docs with its style: the API document for programs and for people."""

import asyncio
from typing import Self

import msgspec
from quart import Blueprint, Response

from gateway.guards.origin import open_to_all
from gateway.openapi import page
from gateway.openapi.document import build
from gateway.routes.asset import Asset
from gateway.settings import GatewaySettings

_SOURCES = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
CONTENT_SECURITY_POLICY = "; ".join(f"{kind} {allowed}" for kind, allowed in _SOURCES.items())


class Docs:
    """Made once, of this gateway's own settings; the page when it is first asked for, as that takes a while."""

    def __init__(self, document: Asset, style: Asset) -> None:
        self._document = document
        self._page: Asset | None = None
        self._style = style

    @classmethod
    def load(cls, settings: GatewaySettings) -> Self:
        return cls(
            Asset.of(msgspec.json.encode(build(settings)), "application/json"),
            Asset.of(page.style(), "text/css; charset=utf-8"),
        )

    def blueprint(self) -> Blueprint:
        routes = Blueprint("docs", __name__)
        routes.add_url_rule("/openapi.json", "document", self.document, methods=["GET"])
        routes.add_url_rule("/docs", "page", self.page, methods=["GET"])
        routes.add_url_rule("/docs.css", "style", self.style, methods=["GET"])
        return routes

    @open_to_all
    async def document(self) -> Response:
        return await self._document.send()

    @open_to_all
    async def page(self) -> Response:
        if self._page is None:
            html = await asyncio.to_thread(page.render, self._document.content)
            self._page = Asset.of(html.encode(), "text/html; charset=utf-8")
        response = await self._page.send()
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response

    @open_to_all
    async def style(self) -> Response:
        return await self._style.send()
