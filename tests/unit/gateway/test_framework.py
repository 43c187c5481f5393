"""Quart as it is used here: what is left out changes no answer."""

import pytest
from quart import Response, request
from quart.globals import request_ctx

from gateway.app import create_app
from gateway.exchange import entrance
from gateway.framework import App, Fields, cors_for_pages
from gateway.settings import GatewaySettings

PAGE = "https://page.example"


async def told() -> Response:
    return Response(f"{request.endpoint} {request.view_args}")


async def named(name: str) -> Response:
    return Response(f"the one named {name}", headers={"Vary": "Cookie"})


@pytest.fixture
def app() -> App:
    app = App("framework")
    app.add_url_rule("/plain", "read", told, methods=["GET"])
    app.add_url_rule("/plain", "write", told, methods=["POST"])
    app.add_url_rule("/things/<name>", "thing", named, methods=["GET"])
    cors_for_pages(app, allow_origin=[PAGE], allow_methods=["GET", "POST"], max_age=60)
    app.asgi_app = entrance(app)  # type: ignore[method-assign,assignment]
    return app


class TestFields:
    def test_a_name_is_found_however_it_is_written(self) -> None:
        fields = Fields("192.0.2.1", [(b"last-event-id", b"t:1-0")])
        assert fields["Last-Event-ID"] == fields.get("LAST-EVENT-ID") == "t:1-0"
        assert "last-Event-id" in fields

    def test_what_was_not_sent_is_not_there(self) -> None:
        fields = Fields("192.0.2.1", [])
        assert "Origin" not in fields
        assert fields.get("Origin") is None
        assert fields.get("Content-Length", 7, type=int) == 7

    def test_the_first_of_several_counts_and_all_can_be_listed(self) -> None:
        fields = Fields("192.0.2.1", [(b"cookie", b"a=1"), (b"cookie", b"b=2")])
        assert (fields["Cookie"], fields.getlist("Cookie")) == ("a=1", ["a=1", "b=2"])

    def test_nobody_gives_themselves_an_address(self) -> None:
        assert Fields("192.0.2.1", [(b"remote-addr", b"10.0.0.1")])["Remote-Addr"] == "192.0.2.1"

    def test_bytes_of_any_kind_are_kept(self) -> None:
        every = bytes(range(32, 256))
        assert Fields("", [(b"cookie", every)])["Cookie"].encode("latin-1") == every

    def test_they_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            Fields("", [])["Host"] = "elsewhere"


class TestRoutes:
    @pytest.mark.parametrize(("method", "endpoint"), [("GET", "read"), ("POST", "write")])
    async def test_a_plain_path_leads_to_its_method_s_handler(self, app: App, method: str, endpoint: str) -> None:
        answer = await app.test_client().open("/plain", method=method, json=None)
        assert await answer.get_data(as_text=True) == f"{endpoint} {{}}"

    async def test_a_get_route_answers_head(self, app: App) -> None:
        assert (await app.test_client().head("/plain")).status_code == 200

    async def test_a_path_with_a_parameter_is_matched(self, app: App) -> None:
        assert await (await app.test_client().get("/things/a%20b")).get_data(as_text=True) == "the one named a b"

    async def test_a_method_that_no_handler_has_is_told_which_there_are(self, app: App) -> None:
        answer = await app.test_client().delete("/plain")
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}

    async def test_options_lists_the_methods(self, app: App) -> None:
        answer = await app.test_client().options("/plain")
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}

    async def test_only_a_path_with_a_parameter_is_matched(self, app: App) -> None:
        for path, matched in (("/plain", False), ("/things/a", True)):
            async with app.test_request_context(path):
                assert (request_ctx.url_adapter is not None) is matched

    @pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", ""])
    @pytest.mark.parametrize(("path", "status"), [("/plain", 200), ("/things/a", 200), ("/nowhere", 404)])
    async def test_whatever_host_is_named_the_answer_is_the_same(
        self, app: App, host: str, path: str, status: int
    ) -> None:
        assert (await app.test_client().get(path, headers={"Host": host})).status_code == status

    @pytest.mark.parametrize("path", ["/nowhere", "/plain/", "/things/"])
    async def test_another_path_leads_nowhere(self, app: App, path: str) -> None:
        assert (await app.test_client().get(path)).status_code == 404


class TestCors:
    async def test_a_named_page_is_answered_as_one(self, app: App) -> None:
        answer = await app.test_client().get("/plain", headers={"Origin": PAGE})
        assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"]) == (PAGE, "Origin")

    async def test_a_preflight_is_answered(self, app: App) -> None:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        answer = await app.test_client().options("/plain", headers=asked)
        assert answer.headers["Access-Control-Max-Age"] == "60"

    async def test_what_else_an_answer_depends_on_is_told_with_it(self, app: App) -> None:
        answer = await app.test_client().get("/things/a")
        assert answer.headers.getlist("Vary") == ["Cookie, Origin"]

    @pytest.mark.parametrize("headers", [{}, {"Origin": "https://other.example"}])
    async def test_to_anybody_else_nothing_is_allowed_and_caches_know_on_what_it_depends(
        self, app: App, headers: dict[str, str]
    ) -> None:
        answer = await app.test_client().get("/plain", headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


def test_no_blueprint_of_ours_has_anything_that_is_never_looked_for() -> None:
    app = create_app(GatewaySettings())
    for kept in (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.url_value_preprocessors,
        app.error_handler_spec,
    ):
        assert {name for name, found in kept.items() if found} <= {None}
