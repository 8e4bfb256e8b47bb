"""What can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack
from urllib.parse import quote
from uuid import UUID

from fulfillment_api.client import filters
from fulfillment_api.client.live import LiveEvent, events_of
from fulfillment_api.client.transport import Transport
from fulfillment_api.resources.agents.schemas import AgentResponse, Approval, ResponseSummary
from fulfillment_api.resources.audit.schemas import AuditLine
from fulfillment_api.resources.batches.schemas import (
    Batch,
    BatchPrediction,
    BatchRejection,
    BatchStatus,
)
from fulfillment_api.resources.deviations.schemas import Deviation, DeviationDetail
from fulfillment_api.resources.health.schemas import Alive, Readiness
from fulfillment_api.resources.knowledge.schemas import Document, FullDocument
from fulfillment_api.resources.kpis.schemas import Segments, TimeSeries
from fulfillment_api.resources.models.schemas import ModelCard, Models
from fulfillment_api.resources.orders.schemas import Order, OrderStory
from fulfillment_api.resources.settings.schemas import SettingChange, SettingItem, SettingList
from fulfillment_assets.kpis.dashboard import Dashboard


class Reading(Transport):
    """Reads what the platform knows."""

    def health_live(self) -> Alive:
        """Whether the process answers."""
        return self._get(Alive, "/health/live")

    def health_ready(self) -> Readiness:
        """Whether the API can do its work; the problem 503 where it cannot."""
        return self._get(Readiness, "/health/ready")

    def metrics(self) -> str:
        """Measurements, as Prometheus reads them."""
        return self._send("GET", "/metrics").text

    def dashboard(self, **asked: Unpack[filters.KpiFilters]) -> Dashboard:
        """All KPIs at once."""
        return self._get(Dashboard, "/kpi/dashboard", asked)

    def segments(self, **asked: Unpack[filters.SegmentFilters]) -> Segments:
        """The KPIs of every segment, riskiest first."""
        return self._get(Segments, "/kpi/segments", asked)

    def timeseries(self, **asked: Unpack[filters.SeriesFilters]) -> TimeSeries:
        """The KPIs of every hour or day."""
        return self._get(TimeSeries, "/kpi/timeseries", asked)

    def list_orders(self, **asked: Unpack[filters.OrderFilters]) -> Iterator[Order]:
        """Orders by their id."""
        return self._pages(Order, "/orders", asked)

    def show_order(self, order_id: str) -> OrderStory:
        """An order with its whole story."""
        return self._get(OrderStory, f"/orders/{quote(order_id, safe='')}")

    def list_deviations(self, **asked: Unpack[filters.DeviationFilters]) -> Iterator[Deviation]:
        """Deviations, the newest first."""
        return self._pages(Deviation, "/deviations", asked)

    def show_deviation(self, deviation_id: UUID) -> DeviationDetail:
        """One deviation with all that is known of it."""
        return self._get(DeviationDetail, f"/deviations/{deviation_id}")

    def list_responses(self, **asked: Unpack[filters.ResponseFilters]) -> Iterator[ResponseSummary]:
        """What agents decided, the newest first."""
        return self._pages(ResponseSummary, "/agent-responses", asked)

    def show_response(self, deviation_id: UUID) -> AgentResponse:
        """A deviation with all that agents did about it."""
        return self._get(AgentResponse, f"/agent-response/{deviation_id}")

    def list_approvals(self, **asked: Unpack[filters.ApprovalFilters]) -> Iterator[Approval]:
        """Actions that wait for a person, and what was decided."""
        return self._pages(Approval, "/approvals", asked)

    def show_approval(self, approval_id: UUID) -> Approval:
        """One of them."""
        return self._get(Approval, f"/approvals/{approval_id}")

    def list_batches(self, **asked: Unpack[filters.BatchFilters]) -> Iterator[Batch]:
        """The files that were handed in, the newest first."""
        return self._pages(Batch, "/batch", asked)

    def show_batch_status(self, batch_id: UUID) -> BatchStatus:
        """How far a file is, and what became of it."""
        return self._get(BatchStatus, f"/batch/{batch_id}/status")

    def list_batch_predictions(self, batch_id: UUID) -> Iterator[BatchPrediction]:
        """What the model said of each row."""
        return self._pages(BatchPrediction, f"/batch/{batch_id}/predictions")

    def list_batch_deviations(self, batch_id: UUID) -> Iterator[Deviation]:
        """The deviations that the file opened or updated last."""
        return self._pages(Deviation, f"/batch/{batch_id}/deviations")

    def list_batch_agent_responses(self, batch_id: UUID) -> Iterator[ResponseSummary]:
        """What agents did about them."""
        return self._pages(ResponseSummary, f"/batch/{batch_id}/agent-responses")

    def list_batch_rejected(self, batch_id: UUID) -> Iterator[BatchRejection]:
        """The rows that could not be scored."""
        return self._pages(BatchRejection, f"/batch/{batch_id}/rejected")

    def list_documents(self, **asked: Unpack[filters.DocumentFilters]) -> Iterator[Document]:
        """The documents of the knowledge base, without their texts."""
        return self._pages(Document, "/knowledge/documents", asked)

    def show_document(self, document_id: UUID) -> FullDocument:
        """One document with its text."""
        return self._get(FullDocument, f"/knowledge/documents/{document_id}")

    def show_settings(self) -> SettingList:
        """Every setting."""
        return self._get(SettingList, "/settings")

    def show_setting(self, name: str) -> SettingItem:
        """One setting."""
        return self._get(SettingItem, f"/settings/{quote(name, safe='')}")

    def list_setting_changes(self, name: str) -> Iterator[SettingChange]:
        """Who changed a setting and when, the latest first."""
        return self._pages(SettingChange, f"/settings/{quote(name, safe='')}/history")

    def list_models(self) -> Models:
        """The known models, and the champion among them."""
        return self._get(Models, "/models")

    def show_model(self, version: str) -> ModelCard:
        """A model's card."""
        return self._get(ModelCard, f"/models/{quote(version, safe='')}")

    def list_audit(self, **asked: Unpack[filters.AuditFilters]) -> Iterator[AuditLine]:
        """Every change through the API, the newest first; takes an admin's key."""
        return self._pages(AuditLine, "/audit", asked)

    def live(self, **asked: Unpack[filters.LiveFilters]) -> Iterator[LiveEvent]:
        """What happens, while it happens.

        It ends when the connection does: go on with `last_event_id` of the last event that was had.
        """
        with self._stream("/live", asked) as lines:
            yield from events_of(lines)
