"""A document as it is handed in: as JSON, as Markdown, or as a Markdown file of a form."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from fulfillment_api.errors import InvalidError, UnsupportedMediaTypeError
from fulfillment_api.fields import Text
from fulfillment_api.resources.knowledge.schemas import ENTERED_EXAMPLE, EnteredDocument
from fulfillment_assets.knowledge.documents import NewDocument
from fulfillment_assets.knowledge.entered import document_of

JSON: Final = "application/json"
MARKDOWN: Final = "text/markdown"
FORM: Final = "multipart/form-data"

_NAME: Final = TypeAdapter[str](Text)
_MARKDOWN_EXAMPLE: Final = f"---\nagent_type: shipment\n---\n{ENTERED_EXAMPLE['content']}"

BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        JSON: {"schema": EnteredDocument.model_json_schema(), "example": ENTERED_EXAMPLE},
        MARKDOWN: {
            "schema": {"type": "string", "minLength": 1, "description": "`source` names it."},
            "example": _MARKDOWN_EXAMPLE,
        },
        FORM: {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "contentMediaType": MARKDOWN,
                        "description": "A Markdown file, known by its name or by `source`.",
                    }
                },
            },
            "encoding": {"file": {"contentType": MARKDOWN}},
        },
    },
}
"""The body, for OpenAPI. Markdown may begin with a front matter in YAML, as a file's does."""


async def read_document(request: Request, source: str | None) -> NewDocument:
    """Read the document of a request.

    Args:
        request: whose body is it.
        source: by what it shall be known, where the body does not tell.

    Raises:
        UnsupportedMediaTypeError: the body is of another kind.
        InvalidError: there is no source, or no file in the form.
        KnowledgeError: the Markdown cannot be used.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        return _entered(await request.body())
    if kind == MARKDOWN:
        return document_of(_named(source), await request.body())
    if kind == FORM:
        return await _of_form(request, source)
    raise UnsupportedMediaTypeError(
        f"Hand the document in as {JSON}, {MARKDOWN} or {FORM}; Content-Type says {kind!r}."
    )


def _entered(body: bytes) -> NewDocument:
    try:
        return EnteredDocument.model_validate_json(body).document()
    except ValidationError as error:
        problems = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(problems) from None


async def _of_form(request: Request, source: str | None) -> NewDocument:
    async with request.form(max_files=1, max_fields=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidError.of("body.file", "the form must hold a file in this field")
        # No path of the client's: the last part names the document, and nothing on disk.
        name = PurePosixPath((file.filename or "").replace("\\", "/")).name
        return document_of(_named(source or name), await file.read())


def _named(source: str | None) -> str:
    try:
        return _NAME.validate_python(source or "")
    except ValidationError as error:
        rule = error.errors()[0]["msg"]
        raise InvalidError.of("query.source", f"must name the document: {rule}") from None
