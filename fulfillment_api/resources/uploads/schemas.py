"""What an upload is, and what is answered to it."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final, Self

from fastapi import Header, Query
from pydantic import AfterValidator, BaseModel, Field

from fulfillment_api.errors import Problem
from fulfillment_api.resources.batches.schemas import BatchState
from fulfillment_api.resources.uploads.file_part import FIELD
from fulfillment_api.resources.uploads.receiving import MULTIPART, RAW
from fulfillment_api.roles import PREFIX
from fulfillment_assets.scoring.batch_jobs import BatchJob

_MOST_KEY_CHARACTERS: Final = 255
_LISTS: Final = ("status", "predictions", "deviations", "agent-responses", "rejected")


def _printable_ascii(key: str) -> str:
    if not 0 < len(key) <= _MOST_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise ValueError(f"must have 1 to {_MOST_KEY_CHARACTERS} printable ASCII characters")
    return key


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Names this upload, for 24 hours: sent again with the same content it is "
        "answered as the first time, and with other content it is refused.",
        examples=["7f1c6a52-0001"],
    ),
    AfterValidator(lambda key: None if key is None else _printable_ascii(key)),
]

Again = Annotated[
    bool,
    Query(description="Score the content again, as a new job, if it is completed already."),
]

ContentDisposition = Annotated[
    str | None,
    Header(
        alias="Content-Disposition",
        description='How a raw body is called in lists: `attachment; filename="orders.csv"`.',
        examples=['attachment; filename="orders.csv"'],
    ),
]


class UploadAnswer(BaseModel):
    """A file that was handed in."""

    batch_job_id: uuid.UUID
    status: BatchState = Field(description="As of now.")
    known: bool = Field(description="Whether its content was handed in before.")
    filename: str = Field(description="How the job's file is called in lists.")
    size_bytes: int
    sha256: str = Field(description="Of the content, in hexadecimal; compare it with your file's.")
    links: dict[str, str] = Field(description="Where to read how far it is, and what became of it.")

    @classmethod
    def of(cls, job: BatchJob, *, known: bool) -> Self:
        """The answer that tells of a job."""
        return cls(
            batch_job_id=job.id,
            status=job.status,
            known=known,
            filename=job.filename,
            size_bytes=job.size_bytes,
            sha256=job.sha256,
            links=_links(job.id),
        )


def _links(job_id: uuid.UUID | str) -> dict[str, str]:
    return {name: f"{PREFIX}/batch/{job_id}/{name}" for name in _LISTS}


_JOB_ID: Final = "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b40"
_NEW: Final = {
    "batch_job_id": _JOB_ID,
    "status": "pending",
    "known": False,
    "filename": "orders.csv",
    "size_bytes": 412_000,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "links": _links(_JOB_ID),
}
_KNOWN: Final = _NEW | {"status": "completed", "known": True}
_CSV: Final = (
    "order_id,order_date,warehouse_block,mode_of_shipment,customer_care_calls,customer_rating,"
    "cost_of_product,prior_purchases,product_importance,gender,discount_offered,weight_in_gms\n"
    "ORD-000017,2026-03-10,F,Ship,4,3,177,3,low,F,10,3000\n"
)


def _answer(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": UploadAnswer,
        "description": description,
        "content": {"application/json": {"example": example}},
        "headers": {
            "Location": {
                "description": "Where to read how far it is.",
                "schema": {"type": "string"},
            }
        },
    }


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: _answer("The content is known; nothing new is scored.", _KNOWN),
    202: _answer("The file is stored, and waits to be scored.", _NEW),
    415: {"model": Problem, "description": "The Content-Type is none that can hold a file."},
    507: {"model": Problem, "description": "There is no room for the file."},
}

_FORM: Final = {
    "schema": {
        "type": "object",
        "properties": {FIELD: {"type": "string", "format": "binary"}},
        "required": [FIELD],
        "additionalProperties": False,
    },
}
_BINARY: Final = {"schema": {"type": "string", "format": "binary", "minLength": 1}}

REQUEST_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "CSV of orders, gzipped maybe: up to 2 GB.",
        "content": {
            MULTIPART: _FORM,
            **dict.fromkeys(RAW, _BINARY),
            RAW[0]: _BINARY | {"example": _CSV},
        },
    }
}
