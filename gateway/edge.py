"""What a request passes first, and its answer last: it is logged, counted and, where that is wanted, traced."""

from quart import Quart

from gateway.metrics import GatewayMetrics
from gateway.telemetry.access import AccessLog, ASGIApp
from gateway.telemetry.routes import RouteNames
from gateway.telemetry.traced import Traced
from gateway.telemetry.tracing import Tracer


def edge(app: Quart, inner: ASGIApp, metrics: GatewayMetrics, tracer: Tracer, *, trust_ids: bool) -> ASGIApp:
    """``inner`` with all that around it. To be made when ``app`` has all its routes."""
    route_of = RouteNames(rule.rule for rule in app.url_map.iter_rules())
    logged = AccessLog(inner, route_of, metrics, trust_ids=trust_ids)
    return Traced(logged, tracer, route_of) if tracer.on else logged
