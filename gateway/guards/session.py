"""From cookie to session. A cookie that names no living session is replaced, never adopted."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.guards.gate import visit
from gateway.guards.rates import RateGuard
from gateway.state.errors import SessionGone
from gateway.state.ids import new_token, session_id
from gateway.state.records import Session
from gateway.state.sessions import Sessions

T = TypeVar("T")


class SessionGuard:
    def __init__(self, sessions: Sessions, rates: RateGuard) -> None:
        self._sessions = sessions
        self._rates = rates

    async def known(self) -> Session | None:
        """The caller's session, if there is one. Raises StateUnavailable."""
        token = visit().token
        return None if token is None else await self._sessions.load(session_id(token))

    async def known_or_new(self) -> Session:
        """The caller's session; a new one with its cookie where there is none. Raises StateUnavailable, TooMany."""
        session = await self.known()
        here = visit()
        if session is None:
            await self._rates.new_session()
            here.token = new_token()
            session = await self._sessions.create(session_id(here.token))
        here.hand_out = True
        return session

    async def write(self, action: Callable[[Session], Awaitable[T]]) -> T:
        """Runs ``action`` on the caller's session, unread; on a new one where there is none any more.

        ``action`` raises SessionGone before it has done anything. So does this, if a new session goes at once, too.
        """
        here = visit()
        if here.token is not None:
            try:
                result = await action(Session.unread(session_id(here.token)))
            except SessionGone:
                pass
            else:
                here.hand_out = True
                return result
        return await action(await self.known_or_new())

    def forget(self) -> None:
        """Takes the caller's cookie back."""
        here = visit()
        if here.cookie:
            here.token, here.hand_out = None, True
