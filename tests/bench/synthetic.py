"""``python -m tests.bench.synthetic``: Quart and Hypercorn on asyncio, and chunks from nowhere: their own floor."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, Response, request

from tests.bench import stamp
from tests.bench.directive import Directive
from tests.servers import free_port


def create_app() -> Quart:
    app = Quart(__name__)
    calls = iter(range(1 << 60))

    @app.post("/chat")
    async def chat() -> Response:
        directive = Directive.find((await request.get_json())["message"].encode())
        response = Response(_events(directive, next(calls)), content_type="text/event-stream")
        response.timeout = None
        return response

    return app


async def _events(directive: Directive, number: int) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    due = directive.first_due(number) or clock()
    for _ in range(directive.count):
        await asyncio.sleep(due - clock())
        yield b"data: %b\n\n" % stamp.text(stamp.now())
        due += directive.every / 1e6
    yield b"event: done\ndata: {}\n\n"


def main() -> None:
    config = Config()
    port = free_port()
    config.bind = [f"127.0.0.1:{port}"]
    config.backlog = 1024
    config.accesslog = None
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    asyncio.run(serve(create_app(), config))


if __name__ == "__main__":
    main()
