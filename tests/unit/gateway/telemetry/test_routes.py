"""Paths, by the rule they answer to."""

import pytest

from gateway.telemetry.routes import RouteNames, method_name

NAMES = RouteNames(["/", "/chat", "/images/<image_id>", "/page/<path:name>/end"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/chat", "/chat"),
        ("/images/abc", "/images/{image_id}"),
        ("/page/x/end", "/page/{name}/end"),
        ("/images/", "other"),
        ("/images/a/b", "other"),
        ("/chat/", "other"),
        ("/CHAT", "other"),
        ("", "other"),
        ("/chat\n", "other"),
    ],
)
def test_a_path_has_its_rules_name_and_all_strangers_have_one(path: str, name: str) -> None:
    assert NAMES(path) == name


def test_a_method_that_nobody_knows_is_one_of_many() -> None:
    assert method_name("GET") == "GET"
    assert method_name("get") == method_name("BREW") == "other"
