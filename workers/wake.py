"""Hears when somebody changed a turn that this worker runs, so that a stop need not wait for the next renewal."""

import asyncio
import random

import structlog

from gateway.state.errors import StateUnavailable
from gateway.state.ids import WorkerId
from gateway.state.wakeups import Wakeups
from workers.lease import LeaseKeeper

_log = structlog.get_logger(__name__)


async def listen(wakeups: Wakeups, worker: WorkerId, keeper: LeaseKeeper) -> None:
    """Listens until cancelled, and subscribes again whenever the connection breaks."""
    while True:
        try:
            async for ref in wakeups.of(worker):
                keeper.nudge(ref)
        except StateUnavailable as error:
            _log.debug("not listening", reason=str(error))
            await asyncio.sleep(random.uniform(0.1, 0.5))
