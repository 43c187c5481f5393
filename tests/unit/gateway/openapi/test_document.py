"""The API document: that it is one, and that it describes this gateway."""

import re
from collections.abc import Iterator
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.app import create_app
from gateway.guards.origin import Exposure, exposure_of
from gateway.settings import GatewaySettings
from gateway.state.records import Kind
from tests.client import Answer
from tests.contract import Contract
from tests.sse import parse

SETTINGS = GatewaySettings()
CONTRACT = Contract.of(SETTINGS)
DOCUMENT = CONTRACT.document


def test_it_is_openapi_3_1() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def served() -> Iterator[tuple[str, str, str]]:
    """Method, path and endpoint of every route, as the document writes paths."""
    app = create_app(SETTINGS)
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), rule.endpoint


def test_every_route_is_described_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert {(method, path) for method, path, _ in served()} == described


def test_what_is_open_to_all_is_described_as_such() -> None:
    app = create_app(SETTINGS)
    for method, path, endpoint in served():
        is_open = exposure_of(app.view_functions[endpoint]) is Exposure.OPEN
        operation = DOCUMENT["paths"][path][method.lower()]
        assert (operation["security"] == []) is is_open, path
        assert ("403" in operation["responses"]) is not is_open, path


def test_every_operation_has_a_name_of_its_own_and_says_what_it_is() -> None:
    operations = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["description"] for operation in operations)


def examples(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each example with its schema."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        if "schema" in node:
            yield from ((node["schema"], example["value"]) for example in node.get("examples", {}).values())
        for value in node.values():
            yield from examples(value)
    elif isinstance(node, list):
        for value in node:
            yield from examples(value)


def test_every_example_is_what_it_is_an_example_of() -> None:
    found = list(examples(DOCUMENT))
    assert len(found) > 100
    for schema, example in found:
        CONTRACT.validator(schema).validate(example)


def test_every_json_body_has_an_example() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                content = body.get("content", {}).get("application/json")
                if content is not None and path != "/openapi.json":
                    assert "example" in content or content["examples"], operation["operationId"]


def test_every_name_leads_somewhere_and_is_used() -> None:
    text = str(DOCUMENT)
    for kind in ("schemas", "headers"):
        named = {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]}
        assert set(re.findall(rf"#/components/{kind}/[\w-]+", text)) == named


def test_every_event_is_described() -> None:
    kinds = {"message" if kind is Kind.TEXT else kind.value for kind in Kind if kind is not Kind.START}
    assert {event["title"] for event in CONTRACT.events()} == {*kinds, "expired"}


def test_the_stream_that_is_shown_is_one() -> None:
    answer = DOCUMENT["paths"]["/stream"]["get"]["responses"]["200"]
    examples = {name: header["example"] for name, header in DOCUMENT["components"]["headers"].items()}
    headers = {"content-type": "text/event-stream", **{name: examples[name] for name in answer["headers"]}}
    body = answer["content"]["text/event-stream"]["x-stream"].encode()
    CONTRACT.check("GET", "/stream", Answer(200, headers, body))
    assert [event.type for event in parse(body)] == ["message", "message", "done"]


def test_limits_are_this_gateways_own() -> None:
    document = Contract.of(GatewaySettings(message_max_chars=7, prompt_max_chars=8, upload_max_files=2)).document
    schemas = document["components"]["schemas"]
    assert schemas["ChatRequest"]["properties"]["message"]["maxLength"] == 7
    assert schemas["TextPrompt"]["properties"]["prompt"]["maxLength"] == 8
    form = document["paths"]["/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["maxItems"] == 2


def test_it_names_the_cookie_and_no_secret() -> None:
    settings = GatewaySettings(cookie_name="chat", redis_url="redis://:hunter2@redis:6379/0")
    document = Contract.of(settings).document
    assert document["components"]["securitySchemes"]["session"]["name"] == "chat"
    assert "hunter2" not in str(document)
