"""What the balancer tells Prometheus, on its inner port."""

import re
from pathlib import Path

import pytest

from tests.balancer import Balancer
from tests.promql import named, scraped

pytestmark = [pytest.mark.needs_haproxy, pytest.mark.timeout(30)]

DASHBOARD = Path(__file__).parents[3] / "gateway" / "monitoring" / "grafana" / "dashboards" / "gateway.json"


async def test_the_dashboard_asks_the_balancer_for_metrics_that_it_has(haproxy: Balancer) -> None:
    expressions = re.findall(r'"expr": "(.*haproxy_.*)"', DASHBOARD.read_text())
    async with haproxy.http.get(f"{haproxy.inside}/metrics") as answer:
        existing = scraped(await answer.text())

    wanted = [one for text in expressions for one in named(text.replace('\\"', '"')).items()]
    assert len(wanted) >= 3
    for name, labels in wanted:
        assert labels <= existing[name] | {"job", "instance"}


async def test_the_replicas_in_rotation_can_be_counted(haproxy: Balancer) -> None:
    async with haproxy.http.get(f"{haproxy.inside}/metrics") as answer:
        text = await answer.text()
    assert re.search(r'^haproxy_backend_active_servers\{proxy="gateways"\} 2$', text, re.MULTILINE)
