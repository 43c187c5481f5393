"""How often one caller may ask. Without Redis nobody is let in: a limit that cannot be counted does not hold.

Answers tell where the caller stands, by ``RateLimit`` and ``RateLimit-Policy``
(draft-ietf-httpapi-ratelimit-headers-10), a refusal also by ``Retry-After``.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from quart import Quart, Response, g

from gateway.guards import body
from gateway.guards.gate import visit
from gateway.guards.origin import Exposure, exposure_of
from gateway.problems import TooMany
from gateway.state.ids import session_id
from gateway.state.rates import Count, Outcome, Rate, Rates, Standing, of_address, of_session
from gateway.state.script import Call

Handler = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class RateLimits:
    """None is no limit."""

    session_requests: Rate | None = None
    address_requests: Rate | None = None
    address_sessions: Rate | None = None


class RateGuard:
    def __init__(self, rates: Rates, limits: RateLimits) -> None:
        self._rates = rates
        self._limits = limits

    def attach(self, app: Quart) -> None:
        app.before_request(self.enter)
        app.after_request(self.leave)

    def counting(self, handler: Handler) -> Handler:
        """A route that has its request counted in the same round trip as its own first question.

        It calls ``ask`` or ``count`` before it changes anything. What it refuses without that is counted as well.
        """

        @wraps(handler)
        async def counted() -> Response:
            try:
                return await handler()
            finally:
                await self.count()

        counted.__dict__["counting"] = True
        return counted

    async def enter(self) -> None:
        """Counts the request, unless its route does that, or holds nothing of anybody. TooMany, StateUnavailable.

        Who is known to be refused is refused here, behind a body that is sure to be short: its connection can be kept.
        """
        handler = visit().handler
        if exposure_of(handler) is Exposure.OPEN:
            return
        g.uncounted = self._counts()
        counting = getattr(handler, "counting", False)
        if counting and self._rates.refusal(g.uncounted):
            await body.read()
            counting = False
        if not counting:
            await self.count()

    async def count(self) -> None:
        """Counts the request if that has not been done. Raises TooMany, StateUnavailable."""
        counts = g.pop("uncounted", None)
        if counts is not None:
            self._judge(await self._rates.take(counts))

    async def ask(self, question: Call) -> Any:
        """The same, and the answer to a question, which is asked whatever comes of the counting."""
        outcome, answer = await self._rates.take_and_ask(g.pop("uncounted", None) or (), question)
        self._judge(outcome)
        return answer

    def _counts(self) -> list[Count]:
        here, limits = visit(), self._limits
        counts = []
        if limits.session_requests and here.token:
            counts.append(Count("session", limits.session_requests, of_session(session_id(here.token))))
        if limits.address_requests:
            counts.append(Count("address", limits.address_requests, of_address(here.client)))
        return counts

    async def new_session(self) -> None:
        """Counts a session that is about to be opened. Raises TooMany, StateUnavailable."""
        if self._limits.address_sessions:
            count = Count("sessions", self._limits.address_sessions, of_address(visit().client))
            self._judge(await self._rates.take([count]))

    def _judge(self, outcome: Outcome) -> None:
        g.rate_standing = outcome.tightest or g.get("rate_standing")
        if outcome.refused:
            raise TooMany(outcome.refused.count.policy, outcome.wait)

    async def leave(self, response: Response) -> Response:
        standing: Standing | None = g.get("rate_standing")
        if standing is not None:
            count, left = standing.count, standing.left
            rate = count.rate
            response.headers["RateLimit-Policy"] = f'"{count.policy}";q={rate.events};w={rate.window}'
            response.headers["RateLimit"] = f'"{count.policy}";r={left};t={math.ceil(standing.reset)}'
        return response
