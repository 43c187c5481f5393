"""Multipart forms, kept in memory: the body's own bound is the bound, and no temporary file is ever written."""

import io
from typing import IO

from quart import Request
from quart.formparser import FormDataParser


class FormRequest(Request):
    """A malformed form raises ``ValueError`` instead of looking empty."""

    def make_form_data_parser(self) -> FormDataParser:
        return FormDataParser(
            cls=self.parameter_storage_class,
            max_content_length=None,
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            silent=False,
            stream_factory=_in_memory,
        )


def _in_memory(*_: object) -> IO[bytes]:
    return io.BytesIO()
