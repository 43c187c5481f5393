"""Schemathesis against the live product: what the API document allows, what it forbids, and all of its checks."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.client import User, picture
from tests.cluster import Cluster
from tests.e2e.conftest import Clusters
from tests.processes import ROOT

CONFIGURATION = ROOT / "tests" / "fuzz" / "schemathesis.toml"
LINE_LENGTH = 600


@pytest.mark.timeout(150)
@pytest.mark.asyncio(loop_scope="session")
async def test_no_request_finds_an_answer_that_the_document_does_not_describe(
    clusters: Clusters, tmp_path: Path
) -> None:
    cluster = await clusters.start(worker={"GOOGLE_API_KEY": "", "OFFLINE_CHUNK_DELAY": "0"})
    status, said = await schemathesis(cluster.gateways[0].url, await cookie_of_a_conversation(cluster), tmp_path)
    assert status == 0, "\n".join(line[:LINE_LENGTH] for line in said.splitlines())


async def cookie_of_a_conversation(cluster: Cluster) -> str:
    """The session has a turn and a picture in its history, as long as no call deletes them."""
    async with User(cluster.any_url) as user:
        await user.upload(picture())
        await user.ask("What is this?")
        [cookie] = user.jar
        return f"{cookie.key}={cookie.value}"


async def schemathesis(url: str, cookie: str, directory: Path) -> tuple[int, str]:
    """The exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
        *("run", f"{url}/openapi.json", "--header", f"Cookie: {cookie}"),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
