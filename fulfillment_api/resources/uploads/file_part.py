"""The one file of a multipart body, passed on while it streams in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from fulfillment_api.errors import BadRequestError, InvalidError
from fulfillment_assets.orders.rules import shown

FIELD: Final = "file"

_ONE_FILE: Final = "send one file; hand in several one after the other"
_MISSING: Final = f'is missing; send the file as the part named "{FIELD}"'
_UNEXPECTED: Final = f'is not expected here; send nothing but one part named "{FIELD}"'


class FilePart:
    """Reads a multipart body whose one part, named `file`, is the file.

    Args:
        boundary: between the parts, as the Content-Type names it.
        write: takes the file's bytes; they are only valid during the call.

    Raises:
        BadRequestError: there is no usable boundary.
    """

    def __init__(self, boundary: bytes, write: Callable[[memoryview], object]) -> None:
        if not boundary:
            raise BadRequestError("Content-Type: multipart/form-data needs its boundary.")
        self._write = write
        self._name = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._filename: str | None = None
        self._found = self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadRequestError(f"The multipart body cannot be read: {error}.") from error

    def feed(self, data: bytes) -> None:
        """Read some of the body.

        Raises:
            BadRequestError: it is no multipart body.
            InvalidError: a part is not expected.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadRequestError(f"The multipart body is broken: {shown(str(error))}.") from error

    def finish(self) -> str | None:
        """End the body; gives the name that the client has for the file, if it tells one.

        Raises:
            BadRequestError: the body ends before its last boundary.
            InvalidError: there was no file in it.
        """
        if not self._ended:
            raise BadRequestError("The multipart body ends before its last boundary.")
        if not self._found:
            raise InvalidError.of(f"body.{FIELD}", _MISSING)
        return self._filename

    def _begin(self) -> None:
        self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD:
            raise InvalidError.of(f"body.{shown(field)}", _UNEXPECTED)
        if self._found:
            raise InvalidError.of(f"body.{FIELD}", _ONE_FILE)
        self._found = True
        filename = options.get(b"filename")
        self._filename = None if filename is None else filename.decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._ended = True
