"""Files of orders, taken in at once and scored by the next run."""

from __future__ import annotations

from anyio.to_thread import run_sync
from fastapi import Request, Response

from fulfillment_api.dependencies import TheChanges, TheServices
from fulfillment_api.resources.uploads.receiving import received
from fulfillment_api.resources.uploads.registration import Registration
from fulfillment_api.resources.uploads.schemas import (
    REQUEST_BODY,
    RESPONSES,
    Again,
    ContentDisposition,
    IdempotencyKey,
    UploadAnswer,
)
from fulfillment_api.routing import resource
from fulfillment_assets.scoring.events import tell_claimed

router = resource("batch")


@router.post("/predict/batch", status_code=202, responses=RESPONSES, openapi_extra=REQUEST_BODY)
async def upload_batch(
    request: Request,
    response: Response,
    services: TheServices,
    changes: TheChanges,
    again: Again = False,
    idempotency_key: IdempotencyKey = None,
    content_disposition: ContentDisposition = None,
) -> UploadAnswer:
    """Hand in a CSV file of orders, gzipped maybe, as a form with one file or as the body itself.

    It is stored and answered at once; a run scores it within seconds, and its status tells how
    far it is. A content is scored once, however often it comes: then the job there is is
    answered, with 200. Content whose job failed is tried again.
    """
    registration = Registration(changes, services.settings, idempotency_key, again)
    engine, settings = services.database.engine, services.settings
    async with received(request, engine, settings, content_disposition) as file:
        found = await run_sync(registration.register, file)
    if found.to_score:
        tell_claimed(found.job, to_score=True)
    answer = UploadAnswer.of(found.job, known=found.known)
    response.status_code = 202 if found.to_score else 200
    response.headers["Location"] = answer.links["status"]
    return answer
