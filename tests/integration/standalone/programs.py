"""Small programs in the place of gateway, worker and Valkey, for tests of who starts, watches and ends them."""

import os
import sys
from pathlib import Path

from workers.standalone.child import Program

SLEEPS = "import time; time.sleep(60)"
"""Ends at SIGTERM, as any program that has not asked for it."""

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)

ENDS_AT_THE_SECOND_SIGNAL = """
import signal, sys, time
asked = []
def hear(*_):
    asked.append(1)
    print("asked", flush=True)
    if len(asked) == 2:
        sys.exit(7)
signal.signal(signal.SIGTERM, hear)
print("deaf", flush=True)
while True:
    time.sleep(60)
"""

TELLS_ITS_END = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    time.sleep(60)
"""

GATEWAY = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"status":"ready","redis":true,"workers":1}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
def end(*_):
    open(sys.argv[2], "a").write("gateway\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""Its ``/readyz`` is content from the first moment."""


def program(name: str, source: str, *args: str, grace: float = 5.0, output: Path | None = None) -> Program:
    """Python source as a child; what it prints goes to ``output``, which is how a test knows how far it is."""
    command = [sys.executable, "-S", "-c", source, *args]
    if output is not None:
        command = ["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", str(output), *command]
    return Program(name, command, dict(os.environ), grace)
