"""The pieces of a worker process, wired as ``workers.process`` does, around a model that tests script."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.state.connect import Client
from gateway.state.history import HistoryTurn
from gateway.state.ids import START, TurnRef, new_claim_token, new_token, new_worker_id, session_id
from gateway.state.queue import Queue
from gateway.state.records import About, Claim, Entry, Kind, Session, TurnStatus, Usage
from gateway.state.sessions import SessionLimits, Sessions
from gateway.state.turnlog import TurnLog
from gateway.state.turns import TurnLimits, Turns
from gateway.state.wakeups import Wakeups
from workers.departures import Departures
from workers.holds import Hold, Holds
from workers.journal import Journal
from workers.model import End, GenerationError, Sink
from workers.prompt import Budget, Prompt
from workers.retry import RetryPolicy
from workers.turn import Means, TurnRun
from workers.wake import listen

Step = str | tuple[str, Usage] | End | GenerationError | Callable[[], Awaitable[None]]


class ScriptedModel:
    """Plays one script of steps per call: texts are said, errors raised, functions awaited, until it ends."""

    def __init__(self) -> None:
        self.scripts: list[list[Step]] = []
        self.prompts: list[Prompt] = []
        self.models: list[str] = []
        self.open = 0

    def answers(self, *steps: Step) -> None:
        self.scripts.append(list(steps))

    async def generate(self, prompt: Prompt, model: str, sink: Sink) -> End:
        self.prompts.append(prompt)
        self.models.append(model)
        self.open += 1
        try:
            for step in self.scripts.pop(0):
                if isinstance(step, End):
                    return step
                await self._play(step, sink)
        finally:
            self.open -= 1
        raise AssertionError("a script that has no end")

    async def _play(self, step: Step, sink: Sink) -> None:
        match step:
            case str():
                sink.put(step, None)
            case (text, usage):
                sink.put(text, usage)
            case GenerationError():
                raise step
            case _:
                await step()  # type: ignore[operator] # the one kind that is left

    async def aclose(self) -> None:
        pass


class BenchWorker:
    def __init__(self, redis: Client) -> None:
        self.redis = redis
        self.id = new_worker_id()
        self.about = About("model-a", offline=False, concurrency=4)
        self.queue = Queue(redis)
        self.departures = Departures(self.queue)
        self.turns = Turns(redis, self.queue, TurnLimits())
        self.sessions = Sessions(redis, self.queue, SessionLimits())
        self.log = TurnLog(redis)
        self.holds = Holds(self.turns)
        self.journal = Journal(self.log, buffer=1 << 16)
        self.model = ScriptedModel()
        self.waits: list[float] = []

    def services(self) -> list[Coroutine[Any, Any, None]]:
        """What must run beside the turns; nothing is missed for want of a beat."""
        hears = listen(Wakeups(self.redis), self.id, patience=60, on_word=self.holds.nudge, on_doubt=self.holds.doubt)
        return [self.journal.run(), self.holds.run(), hears]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def means(self, sleep: Callable[[float], Awaitable[None]] | None = None) -> Means:
        return Means(
            sessions=self.sessions,
            turns=self.turns,
            departures=self.departures,
            journal=self.journal,
            model=self.model,
            budget=Budget(turns=10, tokens=10_000, image_turns=2),
            policy=RetryPolicy(("model-a", "model-b"), tries=3, attempts=2, seconds=20),
            answer_max_bytes=4096,
            offline=False,
            sleep=sleep or self._sleep,
        )

    async def begun(self, message: str = "hello", session: Session | None = None) -> TurnRef:
        """A chat turn that waits for a worker, behind those begun before it."""
        session = session or await self.sessions.create(session_id(new_token()))
        begun = await self.turns.begin(session, message=message)
        await self._next_millisecond()
        return TurnRef(session.id, begun.turn)

    async def _next_millisecond(self) -> None:
        """The line goes by these: turns of the same one wait in no order."""
        began = await self._milliseconds()
        while await self._milliseconds() == began:
            await asyncio.sleep(0)

    async def _milliseconds(self) -> int:
        seconds, micros = await self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def claimed(self, ref: TurnRef) -> Claim:
        claim = await self.turns.claim(ref, new_claim_token(self.id), claims_allowed=3, history_turns=10)
        assert claim is not None
        return claim

    async def run(self, ref: TurnRef, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        """Claims the turn and runs it to where it ends or is interrupted."""
        with self.holds.keep(await self.claimed(ref)) as hold:
            await self.run_held(hold, sleep)

    async def run_held(self, hold: Hold, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        await TurnRun(self.means(sleep), hold).run()

    async def until(self, ref: TurnRef, condition: Callable[[TurnStatus], bool]) -> None:
        """Returns once the turn's record fulfils the condition."""
        while (status := await self.turns.status(ref)) is None or not condition(status):
            pass

    async def entries(self, ref: TurnRef) -> list[Entry]:
        return (await self.log.read(ref, START)).entries

    async def kinds(self, ref: TurnRef) -> list[Kind]:
        return [entry.kind for entry in await self.entries(ref)]

    async def history(self, ref: TurnRef) -> list[HistoryTurn]:
        return await self.sessions.history(ref.session)
