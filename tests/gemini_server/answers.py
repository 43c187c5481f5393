"""The stand-in's answers: a function of the prompt, so that a reader can check every word."""

import hashlib

import msgspec

from tests.gemini_server.script import Script, directives, has_directives

_FLAIRS = ("", "é", "漢字", "😀", "ñ́", "‱")


def expected_answer(prompt: str, *, json: bool = False, script: Script | None = None) -> str:
    """The whole answer to ``prompt`` (with its directives), when its script is not ``unique``."""
    return "".join(pieces(prompt, script or _spelt(prompt), json=json))


def expected_words(prompt: str, *, script: Script | None = None) -> list[str]:
    return expected_answer(prompt, script=script).split()


def pieces(prompt: str, script: Script, *, json: bool = False, call: int = 0) -> list[str]:
    """The text of each event, in order."""
    text = script.text if script.text is not None else "".join(_numbered(prompt, script, call))
    if json:
        text = msgspec.json.encode({"answer": text}).decode()
    elif script.text is None:
        return _numbered(prompt, script, call)
    return _cut(text, script.chunks)


def _numbered(prompt: str, script: Script, call: int) -> list[str]:
    tag = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    if script.unique:
        tag += f"@{call}"
    words = [
        f"{number}.{tag}{_FLAIRS[number % len(_FLAIRS)]}{'x' * script.pad}" + ("\n" if number % 9 == 8 else " ")
        for number in range(script.chunks * script.words)
    ]
    return ["".join(words[start : start + script.words]) for start in range(0, len(words), script.words)]


def _cut(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // max(1, count)))
    return [text[start : start + size] for start in range(0, len(text), size)]


def _spelt(prompt: str) -> Script:
    return directives(prompt) if has_directives(prompt) else Script()
