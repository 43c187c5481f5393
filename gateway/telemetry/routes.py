"""Paths by the rule they answer to, so that what is counted by route has as many series as there are routes."""

import re
from collections.abc import Iterable

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_PARAMETER = re.compile(r"<[^>]*>")


class RouteNames:
    """``rules`` are Werkzeug's: ``/images/<image_id>``."""

    def __init__(self, rules: Iterable[str]) -> None:
        self._plain: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for rule in rules:
            if "<" in rule:
                pattern = "[^/]+".join(map(re.escape, _PARAMETER.split(rule)))
                name = _PARAMETER.sub(lambda match: "{" + match[0][1:-1].rpartition(":")[2] + "}", rule)
                self._patterns.append((re.compile(pattern), name))
            else:
                self._plain[rule] = rule

    def __call__(self, path: str) -> str:
        found = self._plain.get(path)
        if found is not None:
            return found
        return next((name for pattern, name in self._patterns if pattern.fullmatch(path)), OTHER)


def method_name(method: str) -> str:
    """The method, where it is one that is known (anybody may send any word)."""
    return method if method in METHODS else OTHER
