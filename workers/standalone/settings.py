"""What `make run` itself reads; the gateway and the worker read theirs from the same environment."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.telemetry.environment import SECRET
from gateway.telemetry.logs import Format, Level


class StandaloneSettings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """Frozen and checked; ``gateway.telemetry.environment.load`` reads it and names the variable that is wrong."""

    redis_url: Annotated[
        str, Meta(description="The server to use; without one `make run` starts its own", extra=SECRET)
    ] = ""
    host: Annotated[str, Meta(description="The address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="The port to listen on")] = 5000
    data_dir: Annotated[str, Meta(description="Where `make run` keeps its data")] = ".data"
    drain_seconds: Annotated[float, Meta(gt=0, description="Seconds that the gateway has to end what it serves")] = 5.0
    grace_seconds: Annotated[float, Meta(ge=0, description="Seconds that running turns have to end")] = 3.0

    log_level: Annotated[Level, Meta(description="The least important level that is logged")] = "info"
    log_format: Annotated[
        Format, Meta(description="`console` for people, `json` for machines, `auto`: by whether it is a terminal")
    ] = "auto"
    metrics_port: Annotated[
        int,
        Meta(ge=0, le=65534, description="The gateway's port for `GET /metrics`; the worker has the next one; 0: none"),
    ] = 0

    @property
    def home(self) -> Path:
        return Path(self.data_dir).resolve()

    def __repr__(self) -> str:
        # A Redis URL holds a password.
        return "StandaloneSettings(...)"
