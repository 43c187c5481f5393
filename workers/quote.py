"""Upstream errors may quote what they were sent; the log is no place for that."""

RUN = 12
"""Characters in a row that are taken for a quotation."""

_MARK = "[quoted]"


def unquoted(line: str, text: str) -> str:
    """``line`` without what it has in common with ``text``, but for single words."""
    if len(line) < RUN or len(text) < RUN:
        return line
    text = " ".join(text.split())
    kept, at = [], 0
    while at < len(line):
        if line[at : at + RUN] not in text or at + RUN > len(line):
            kept.append(line[at])
            at += 1
            continue
        end = at + RUN
        while end < len(line) and line[at : end + 1] in text:
            end += 1
        kept.append(_MARK)
        at = end
    return "".join(kept)
