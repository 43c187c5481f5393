"""The API document as a page: no script, no address but our own. Rendered once."""

import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from gateway.openapi.document import Document

_CODE = re.compile(r"`([^`]+)`")
_ITEM = re.compile(r"\d+\. (.*)")


@lru_cache(maxsize=1)
def render(encoded: bytes) -> str:
    """HTML with every operation, event and schema of a document, given in JSON. Takes a tenth of a second at first."""
    document: Document = msgspec.json.decode(encoded)
    templates = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates.filters.update(prose=prose, json=_json, schema=_schema)
    source = (files("gateway") / "openapi" / "page.html").read_text(encoding="utf-8")
    return templates.from_string(source).render(document=document, groups=_groups(document))


def style() -> bytes:
    return (files("gateway") / "openapi" / "page.css").read_bytes()


def prose(text: str) -> Markup:
    """The little of Markdown that descriptions use: paragraphs, numbered lists, code."""
    html = Markup()
    for block in text.split("\n\n"):
        items = [_ITEM.fullmatch(line) for line in block.split("\n")]
        if all(items):
            lines = Markup().join(Markup("<li>{}</li>").format(_words(item[1])) for item in items if item)
            html += Markup("<ol>{}</ol>").format(lines)
        else:
            html += Markup("<p>{}</p>").format(_words(block))
    return html


def _words(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped first


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _schema(schema: dict[str, Any]) -> Markup:
    """What a value is, in a few words, with a link where it has a name."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if several := schema.get("anyOf"):
        return Markup(" or ").join(_schema(one) for one in several)
    if "contentSchema" in schema:
        return Markup("JSON: {}").format(_schema(schema["contentSchema"]))
    if "items" in schema:
        most = Markup(", at most {}").format(schema["maxItems"]) if "maxItems" in schema else ""
        return Markup("list of {}{}").format(_schema(schema["items"]), most)
    if "const" in schema:
        return Markup("<code>{}</code>").format(_json(schema["const"]))
    if "enum" in schema:
        return Markup(" or ").join(Markup("<code>{}</code>").format(_json(value)) for value in schema["enum"])
    kind = escape(schema.get("format", schema.get("type", "anything")))
    return kind + f", at most {schema['maxLength']:,} characters" if "maxLength" in schema else kind


def _groups(document: Document) -> list[dict[str, Any]]:
    """The operations by their tags, in the order of the tags."""
    called = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return [{**tag, "operations": [one for one in called if tag["name"] in one["tags"]]} for tag in document["tags"]]
