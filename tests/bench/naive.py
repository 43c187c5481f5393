"""``python -m tests.bench.naive UPSTREAM_URL``: the relay that one writes first. A yardstick, kept as it is.

Quart and Hypercorn on asyncio, the SDK as its own page shows it, one process. No session, no history, no resume: when
it dies, or the page reloads, the answer is lost.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from google import genai
from google.genai import types
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, Response, request

from tests.servers import free_port


def create_app(upstream: str) -> Quart:
    app = Quart(__name__)
    client = genai.Client(api_key="bench", http_options=types.HttpOptions(base_url=upstream, api_version="v1beta"))

    @app.post("/chat")
    async def chat() -> Response:
        message = (await request.get_json())["message"]

        async def events() -> AsyncIterator[str]:
            answer = await client.aio.models.generate_content_stream(model="gemini-2.5-flash", contents=message)
            async for chunk in answer:
                if chunk.text:
                    yield f"data: {chunk.text}\n\n"
            yield "event: done\ndata: {}\n\n"

        response = Response(events(), content_type="text/event-stream")
        response.timeout = None
        return response

    return app


def main() -> None:
    config = Config()
    port = free_port()
    config.bind = [f"127.0.0.1:{port}"]
    config.backlog = 1024
    config.accesslog = None
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    asyncio.run(serve(create_app(sys.argv[1]), config))


if __name__ == "__main__":
    main()
