"""Real processes for the tests beside this file.

Starting them is what costs most, so tests that kill nothing share one cluster (``cluster``): sessions do not know of
each other. A test that kills, freezes or drains makes its own (``clusters``).
All tests here run in one event loop (``loop_scope="session"``), as they share clients.
"""

from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.client import User
from tests.cluster import Cluster, Gemini
from tests.cluster import gemini as gemini_process


class Clusters:
    """Makes clusters that end with the test."""

    def __init__(self, directory: Path, gemini: Gemini, stack: AsyncExitStack) -> None:
        self.made: list[Cluster] = []
        self._directory = directory
        self._gemini = gemini
        self._stack = stack

    async def start(self, **wanted: Any) -> Cluster:
        """As ``Cluster``."""
        directory = self._directory / f"cluster-{len(self.made)}"
        directory.mkdir()
        cluster = Cluster(directory, self._gemini, **wanted)
        self.made.append(cluster)
        return await self._stack.enter_async_context(cluster)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stand_in(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gemini]:
    async with gemini_process(tmp_path_factory.mktemp("gemini")) as gemini:
        yield gemini


@pytest_asyncio.fixture(loop_scope="session")
async def gemini(stand_in: Gemini) -> AsyncIterator[Gemini]:
    """The stand-in, with nothing of earlier tests left to do."""
    yield stand_in
    await stand_in.listen()
    await stand_in.release()
    await stand_in.clear()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(stand_in: Gemini, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three gateways and two workers for all tests that leave them as they are."""
    async with Cluster(tmp_path_factory.mktemp("cluster"), stand_in, gateways=3, workers=2) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="session")
async def clusters(gemini: Gemini, tmp_path: Path) -> AsyncIterator[Clusters]:
    async with AsyncExitStack() as stack:
        yield Clusters(tmp_path, gemini, stack)


@pytest_asyncio.fixture(loop_scope="session")
async def user(cluster: Cluster, gemini: Gemini) -> AsyncIterator[User]:
    """A user of the shared cluster who asks another replica each time."""
    async with User(cluster.any_url) as user:
        yield user


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Where a test fails, what its processes said belongs to the report."""
    report = yield
    if report.failed:
        given = getattr(item, "funcargs", {}).values()
        clusters = [value for value in given if isinstance(value, Cluster)]
        clusters += [cluster for value in given if isinstance(value, Clusters) for cluster in value.made]
        for cluster in clusters:
            report.sections += [(f"the end of what {name} said", text) for name, text in cluster.logs().items()]
    return report
