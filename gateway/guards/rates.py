"""How often one caller may ask. Without Redis nobody is let in: a limit that cannot be counted does not hold.

Answers tell where the caller stands, by ``RateLimit`` and ``RateLimit-Policy``
(draft-ietf-httpapi-ratelimit-headers-10), a refusal also by ``Retry-After``.
"""

import math
from dataclasses import dataclass

from quart import Quart, Response, current_app, g, request

from gateway.guards.gate import visit
from gateway.guards.origin import Exposure, exposure_of
from gateway.problems import TooMany
from gateway.state.ids import session_id
from gateway.state.rates import Count, Outcome, Rate, Rates, Standing, of_address, of_session


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

    async def enter(self) -> None:
        """Counts the request, unless its route holds nothing of anybody. Raises TooMany, StateUnavailable."""
        exposure = exposure_of(current_app.view_functions.get(request.endpoint or ""))
        if request.method == "OPTIONS" or exposure is Exposure.OPEN:
            return
        here, limits = visit(), self._limits
        counts = []
        if limits.session_requests and here.token:
            counts.append(Count("session", limits.session_requests, of_session(session_id(here.token))))
        if limits.address_requests:
            counts.append(Count("address", limits.address_requests, of_address(here.client)))
        await self._take(counts)

    async def new_session(self) -> None:
        """Counts a session that is about to be opened. Raises TooMany, StateUnavailable."""
        if self._limits.address_sessions:
            await self._take([Count("sessions", self._limits.address_sessions, of_address(visit().client))])

    async def _take(self, counts: list[Count]) -> None:
        outcome: Outcome = await self._rates.take(counts)
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
