"""The stand-in as a process: see the package's docstring."""

import argparse
import asyncio
import json
import signal
import sys

from tests.gemini_server.server import GeminiServer


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gemini_server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--key", help="the one API key that is accepted (default: any)")
    given = parser.parse_args()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with GeminiServer(host=given.host, port=given.port, control_port=given.control_port, key=given.key) as gemini:
        sys.stdout.write(json.dumps({"url": gemini.url, "control_url": gemini.control_url}) + "\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
