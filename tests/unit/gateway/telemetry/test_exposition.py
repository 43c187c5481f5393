"""The port that Prometheus asks."""

import asyncio
import socket

import aiohttp
import pytest

from gateway.telemetry import exposition
from gateway.telemetry.environment import SettingsError
from gateway.telemetry.vitals import Vitals
from tests.scrape import HOST, of, scrape
from tests.servers import free_port


def test_port_0_is_none() -> None:
    assert exposition.listen(HOST, 0) is None


def test_a_port_in_use_is_one_line_that_names_the_variable() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"^METRICS_HOST, METRICS_PORT: cannot listen on [^\n]+$"):
            exposition.listen(HOST, taken.getsockname()[1])


@pytest.mark.parametrize("host", ["203.0.113.1", "no host", "x" * 300])
def test_an_address_that_is_not_here_is_one_line_that_names_the_variable(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^METRICS_HOST[^\n]+$"):
        exposition.listen(host, free_port())


async def test_it_answers_within_its_scope_and_looks_before_it_answers() -> None:
    looked = 0

    async def look() -> None:
        nonlocal looked
        looked += 1

    port = free_port()
    async with exposition.served(exposition.listen(HOST, port), Vitals("gateway"), look):
        assert (await scrape(port)).has("gateway_build_info")
        assert looked == 1
    with pytest.raises(aiohttp.ClientConnectionError):
        await scrape(port)


async def test_an_idle_connection_does_not_hold_its_end() -> None:
    port = free_port()
    async with asyncio.timeout(5):
        async with exposition.served(exposition.listen(HOST, port), Vitals("gateway")):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_the_loop_is_watched_while_it_answers() -> None:
    vitals = Vitals("worker")
    async with exposition.served(exposition.listen(HOST, free_port()), vitals):
        async with asyncio.timeout(5):
            while not of(vitals.registry)("worker_event_loop_lag_seconds_count"):
                await asyncio.sleep(0.05)


async def test_without_a_port_nothing_is_done() -> None:
    async with exposition.served(None, Vitals("gateway")):
        assert len(asyncio.all_tasks()) == 1
