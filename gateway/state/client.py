"""redis-py's commands, sent over the process's one line."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from gateway.state.line import Command, Line


class LineClient(Redis):
    """Its commands and pipelines share the line.

    Those that would hold the others up have the line ``blocking`` (one that waits) or the pool ``apart`` (megabytes).
    """

    def __init__(self, pool: ConnectionPool, patience: float) -> None:
        super().__init__(connection_pool=pool)
        self.line = Line(pool, patience)
        self.blocking = Line(pool, patience)
        self.apart = Redis(connection_pool=pool)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        [answer] = await self.line.ask([_words(args)])
        if isinstance(answer, RedisError):
            raise answer
        return _shaped(self, args, options, answer)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Never a transaction: no script needs one, and other tasks' commands come in between."""
        if transaction:
            raise NotImplementedError("transactions need a connection of their own")
        return LinePipeline(self, shard_hint)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self.line.aclose()
        await self.blocking.aclose()
        await self.connection_pool.disconnect()
        await super().aclose(close_connection_pool)


class LinePipeline(Pipeline):
    def __init__(self, client: LineClient, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, self.command_stack = self.command_stack, []
        if not commands:
            return []
        answers = await self._client.line.ask([_words(args) for args, _ in commands])
        for i, ((args, options), answer) in enumerate(zip(commands, answers, strict=True)):
            if not isinstance(answer, RedisError):
                answers[i] = _shaped(self, args, options, answer)
            elif raise_on_error:
                raise answer
        return answers


def ask(redis: Redis, commands: Sequence[Command]) -> Awaitable[list[Any]]:
    """The raw answers of commands that are sent together; an error that the server answered is among them."""
    return redis.line.ask(commands) if isinstance(redis, LineClient) else _ask_by_pipeline(redis, commands)


async def _ask_by_pipeline(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    pipe = redis.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    return answers


async def ask_and_wait(redis: Redis, command: Command) -> Any:
    """The answer to a command that blocks, for less than the client's patience. The next such one waits behind it."""
    if not isinstance(redis, LineClient):
        return await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    [answer] = await redis.blocking.ask([command])
    if isinstance(answer, RedisError):
        raise answer
    return answer


def apart(redis: Redis) -> Redis:
    """The client for a command that carries megabytes."""
    return redis.apart if isinstance(redis, LineClient) else redis


def _words(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """redis-py names a subcommand together with its command; Redis wants them apart."""
    name: str = args[0]
    return (*name.split(), *args[1:]) if " " in name else args


def _shaped(client: Redis, args: tuple[Any, ...], options: Mapping[str, Any], answer: Any) -> Any:
    """As redis-py gives it: the raw answer, made into what the command's caller expects."""
    shape = client.response_callbacks.get(args[0])
    if shape is None:
        return answer
    return shape(answer, **{name: value for name, value in options.items() if name != "keys"})
