"""The API document for people."""

import re
from html.parser import HTMLParser

import msgspec

from gateway.openapi import page
from gateway.openapi.document import build
from gateway.settings import GatewaySettings

DOCUMENT = msgspec.json.encode(build(GatewaySettings()))


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(html)
    parser.close()
    return parser.found


def test_it_has_every_call_body_and_header() -> None:
    html = page.render(DOCUMENT)
    document = msgspec.json.decode(DOCUMENT)
    ids = {attributes.get("id") for _, attributes in elements(html)}
    assert {call["operationId"] for methods in document["paths"].values() for call in methods.values()} <= ids
    assert set(document["components"]["schemas"]) <= ids
    assert {f"header-{name}" for name in document["components"]["headers"]} <= ids


def test_it_asks_nobody_else_for_anything_and_runs_nothing() -> None:
    found = elements(page.render(DOCUMENT))
    assert not {"script", "iframe", "style", "form", "img"} & {tag for tag, _ in found}
    for tag, attributes in found:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        address = attributes.get("href") or ""
        assert not re.match(r"[a-z]+:|//|/", address), address


def test_every_link_within_it_leads_somewhere() -> None:
    found = elements(page.render(DOCUMENT))
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in found:
        address = attributes.get("href") or ""
        assert not address.startswith("#") or address[1:] in ids


def test_what_descriptions_say_is_text_and_never_markup() -> None:
    assert str(page.prose("a <b> & `<i>`")) == "<p>a &lt;b&gt; &amp; <code>&lt;i&gt;</code></p>"


def test_paragraphs_and_numbered_lists_are_told_apart() -> None:
    assert str(page.prose("one\n\n1. two\n2. three")) == "<p>one</p><ol><li>two</li><li>three</li></ol>"
