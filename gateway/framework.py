"""Quart, without what no request here needs. Each of it costs little; all of it was a fifth of a request's time."""

from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from typing import Any, cast

from quart import Quart, Request, Response, request
from quart.wrappers.base import BaseRequestWebsocket
from quart_cors import cors
from werkzeug.datastructures import Headers, ImmutableHeadersMixin
from werkzeug.exceptions import BadHost
from werkzeug.routing import MapAdapter

AfterRequest = Callable[[Response], Awaitable[Response]]


class App(Quart):
    def ensure_async(self, func: Any) -> Any:
        """All that is registered here is asynchronous already: nobody needs to find that out for each request."""
        return func

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Where a path is a route's own, nothing has to be matched: Quart matches only by an adapter.

        So there is none to make URLs by, which nobody does here.
        """
        if request is None:
            return super().create_url_adapter(request)
        request.url_rule = self._plain_rules.get((request.method, request.path))
        if request.url_rule is not None:
            request.view_args = {}
            return None
        try:
            return super().create_url_adapter(request)
        except BadHost:  # No route looks at the host.
            return self.url_map.bind("unnamed", default_method=request.method, path_info=request.path)

    @cached_property
    def _plain_rules(self) -> dict[tuple[str, str], Any]:
        """By method and path. OPTIONS is left to Quart, whose answer lists the methods of a path."""
        plain = [rule for rule in self.url_map.iter_rules() if not rule.arguments]
        return {(method, rule.rule): rule for rule in plain for method in (rule.methods or set()) - {"OPTIONS"}}


class LeanRequest(Request):
    @property
    def blueprints(self) -> list[str]:
        """None of ours has hooks or error handlers of its own to be looked for."""
        return []


class Fields(ImmutableHeadersMixin, Headers):  # type: ignore[misc]
    """A request's header fields. Most that are asked for were not sent: to know that takes no search."""

    def __init__(self, caller: str, sent: Iterable[tuple[bytes, bytes]]) -> None:
        """``caller``'s address stands before what the caller sent: Quart reads it as a field."""
        super().__init__()
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent]
        self._list = [("Remote-Addr", caller), *fields]
        self._first = {name.lower(): value for name, value in reversed(self._list)}

    def _get_key(self, key: str) -> str:
        return self._first[key.lower()]


def cors_for_pages(app: Quart, **policy: Any) -> None:
    """quart-cors with ``policy``, for calls that tell their page's origin. To others its answer is always the same."""
    before = len(app.after_request_funcs[None])
    cors(app, **policy)
    [answer_page] = cast("list[AfterRequest]", app.after_request_funcs[None][before:])
    del app.after_request_funcs[None][before:]

    async def answer(response: Response) -> Response:
        if "Origin" in request.headers:
            return await answer_page(response)
        if "Vary" in response.headers:
            response.vary.add("Origin")
        else:
            response.headers["Vary"] = "Origin"  # Sooner done than by way of a set.
        return response

    app.after_request(answer)
