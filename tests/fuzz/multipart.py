"""Forms as browsers write them, and everything that can be wrong with one."""

from hypothesis import strategies as st

BOUNDARY = "----boundary"

_names = st.sampled_from(["file", "file", "file", "FILE", "other", "", 'fi"le', "file\0", "\u202efile"])
_filenames = (
    st.sampled_from(["a.png", "", "../../x", "C:\\x.png", "\0", "x" * 3000, "\u202egnp", "a;b=c", '"']) | st.text()
)
_types = st.sampled_from(["image/png", "text/plain", "", "multipart/mixed; boundary=inner", "image/png; charset=\0"])
_dispositions = st.sampled_from(
    [
        'form-data; name="{0}"; filename="{1}"',
        'form-data; name="{0}"',
        "form-data; name={0}; filename*=utf-8''{1}",
        "{1}",
        "",
    ]
)
_line_ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])


@st.composite
def parts(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    end = draw(_line_ends)
    told = draw(_dispositions).format(draw(_names), draw(_filenames)).encode("utf-8", "replace")
    lines = [b"Content-Disposition: " + told, b"Content-Type: " + draw(_types).encode()]
    lines += draw(st.lists(st.binary(max_size=40), max_size=2))
    head = end.join(draw(st.permutations(lines)))
    return b"--" + BOUNDARY.encode() + end + head + end + end + draw(contents) + end


@st.composite
def forms(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    """A body of parts, possibly cut off, patched, or without an end."""
    body = draw(st.binary(max_size=20)) if draw(st.booleans()) else b""
    body += b"".join(draw(st.lists(parts(contents), max_size=4)))
    body += draw(st.sampled_from([f"--{BOUNDARY}--\r\n".encode(), f"--{BOUNDARY}--".encode(), b"--", b""]))
    return draw(mutations(body))


content_types = st.sampled_from(
    [
        f"multipart/form-data; boundary={BOUNDARY}",
        f'multipart/form-data; boundary="{BOUNDARY}"; charset=utf-16',
        f"multipart/mixed; boundary={BOUNDARY}",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; boundary=\xff",
        "application/x-www-form-urlencoded",
        "",
    ]
)


def mutations(content: bytes) -> st.SearchStrategy[bytes]:
    """``content``, and what a few accidents make of it."""
    at = st.integers(0, max(0, len(content) - 1))
    patched = st.builds(lambda i, some: content[:i] + some + content[i + len(some) :], at, st.binary(max_size=8))
    inserted = st.builds(lambda i, some: content[:i] + some + content[i:], at, st.binary(max_size=30))
    removed = st.builds(lambda i, length: content[:i] + content[i + length :], at, st.integers(1, 100))
    cut = st.builds(lambda i: content[:i], at)
    doubled = st.builds(lambda i, j: content[:i] + content[min(i, j) :], at, at)
    return st.one_of(st.just(content), patched, inserted, removed, cut, doubled)
