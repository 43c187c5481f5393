"""Hears when somebody changed a turn that this worker runs: a stop reaches it at once."""

import asyncio
import random
from collections.abc import Callable
from typing import Never

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import TurnRef, WorkerId
from gateway.state.wakeups import Wakeups

_log = structlog.get_logger(__name__)


async def listen(
    wakeups: Wakeups,
    worker: WorkerId,
    *,
    patience: float,
    on_word: Callable[[TurnRef], None],
    on_doubt: Callable[[], None],
) -> Never:
    """Listens until cancelled; subscribes again when the connection breaks, or is silent for ``patience`` seconds.

    ``on_doubt`` is called at each subscription: what was said before it was not heard.
    """
    while True:
        try:
            async for ref in wakeups.of(worker, patience=patience):
                if ref is None:
                    on_doubt()
                else:
                    on_word(ref)
        except StateUnavailable as error:
            _log.debug("not listening", reason=str(error))
            await asyncio.sleep(random.uniform(0.1, 0.5))
