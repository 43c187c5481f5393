"""Which settings differ from their defaults, by name alone."""

from collections.abc import Mapping

import msgspec


def given(kind: type[msgspec.Struct], environ: Mapping[str, str]) -> str:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    of_kind = [name for name in names if environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip()]
    return f"{', '.join(of_kind)} set, the rest by default" if of_kind else "all by default"
