"""GET / (is the process alive) and GET /readyz (should it be sent requests)."""

from http import HTTPStatus

from quart import Blueprint, Response

from gateway import shapes
from gateway.answers import json_answer
from gateway.guards.origin import open_to_all
from gateway.readiness import Readiness


class Health:
    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def blueprint(self) -> Blueprint:
        routes = Blueprint("health", __name__)
        routes.add_url_rule("/", "alive", self.alive, methods=["GET"])
        routes.add_url_rule("/readyz", "ready", self.ready, methods=["GET"])
        return routes

    @open_to_all
    async def alive(self) -> Response:
        return json_answer(shapes.Health())

    @open_to_all
    async def ready(self) -> Response:
        report = await self._readiness.report()
        response = json_answer(report)
        if report.status != "ready":
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            response.headers["Retry-After"] = "5"
        return response
