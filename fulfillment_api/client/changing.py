"""What can be changed, scored and handed in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from uuid import UUID

from fulfillment_api.client.transport import Transport
from fulfillment_api.resources.agents.schemas import Approval, Triggered
from fulfillment_api.resources.knowledge.schemas import (
    EnteredDocument,
    FullDocument,
    Hits,
    Search,
)
from fulfillment_api.resources.live.schemas import Admission
from fulfillment_api.resources.models.schemas import Decided
from fulfillment_api.resources.predictions.schemas import PredictionItem, PredictionList
from fulfillment_api.resources.settings.schemas import SettingItem, Value
from fulfillment_api.resources.uploads.schemas import UploadAnswer
from fulfillment_assets.orders.model import EnrichedOrder


class Changing(Transport):
    """Scores orders, hands files in, and changes what the platform does."""

    def predict(self, order: EnrichedOrder, *, store: bool = True) -> PredictionItem:
        """The delay risk of an order."""
        body = order.model_dump(mode="json", exclude_unset=True)
        return self._post(PredictionItem, "/predict", body, {"store": store}, repeatable=not store)

    def predict_orders(
        self, orders: Sequence[EnrichedOrder], *, store: bool = True
    ) -> PredictionList:
        """The delay risk of up to 1,000 orders, in their order."""
        body = {"orders": [one.model_dump(mode="json", exclude_unset=True) for one in orders]}
        return self._post(
            PredictionList, "/predict/orders", body, {"store": store}, repeatable=not store
        )

    def upload_batch(
        self, file: Path, *, again: bool = False, idempotency_key: str | None = None
    ) -> UploadAnswer:
        """Hand in a CSV file, gzipped maybe; it is streamed.

        Args:
            file: where it is.
            again: score its content again, if it is completed already.
            idempotency_key: names the upload; one of its own if not given, so that an upload that
                is sent twice because the connection broke is one.
        """
        with file.open("rb") as content:
            return self._upload(content, file.name, again, idempotency_key or str(uuid.uuid4()))

    def _upload(
        self, content: BinaryIO, name: str, again: bool, idempotency_key: str
    ) -> UploadAnswer:
        answer = self._send(
            "POST",
            "/predict/batch",
            params={"again": again},
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": f'attachment; filename="{_quotable(name)}"'.encode(),
                "Idempotency-Key": idempotency_key,
            },
            content=content,
            rewind=lambda: content.seek(0),
        )
        return UploadAnswer.model_validate_json(answer.content)

    def trigger_agent(self, deviation_id: UUID, *, note: str | None = None) -> Triggered:
        """Have agents work on a deviation, before the others."""
        body = {"deviation_id": str(deviation_id), "note": note}
        return self._post(Triggered, "/trigger-agent", body)

    def approve(self, approval_id: UUID, *, note: str | None = None) -> Approval:
        """Have agents do what they asked to do."""
        return self._post(Approval, f"/approvals/{approval_id}/approve", {"note": note})

    def reject(self, approval_id: UUID, *, note: str | None = None) -> Approval:
        """Have agents go on without it."""
        return self._post(Approval, f"/approvals/{approval_id}/reject", {"note": note})

    def search_documents(self, wanted: Search) -> Hits:
        """The sections of the knowledge base nearest in meaning to a question."""
        return self._post(Hits, "/knowledge/search", wanted.model_dump(mode="json"))

    def ingest_document(self, document: EnteredDocument) -> FullDocument:
        """Enter a document, in the place of the one of the same source."""
        return self._post(FullDocument, "/knowledge/ingest", document.model_dump(mode="json"))

    def withdraw_document(self, document_id: UUID) -> None:
        """Withdraw a document that was entered or learned."""
        self._send("DELETE", f"/knowledge/documents/{document_id}")

    def set_setting(self, name: str, value: Value) -> SettingItem:
        """Change a setting."""
        path = f"/settings/{quote(name, safe='')}"
        answer = self._send("PUT", path, json={"value": value})
        return SettingItem.model_validate_json(answer.content)

    def promote_model(
        self, version: str, *, force: bool = False, reason: str | None = None
    ) -> Decided:
        """Make a version the champion if it is better; the problem 409 says why it is not."""
        body = {"force": force, "reason": reason}
        return self._post(Decided, f"/models/{quote(version, safe='')}/promote", body)

    def roll_back_model(self, *, reason: str | None = None) -> Decided:
        """Go back to the champion before the present one."""
        return self._post(Decided, "/models/rollback", {"reason": reason}, repeatable=False)

    def ticket(self) -> Admission:
        """Lets a browser into the live stream without a key."""
        return self._post(Admission, "/live/ticket")


def _quotable(name: str) -> str:
    """A file's name without what would end a quoted text."""
    return name.replace("\\", "_").replace('"', "_")
