"""What the endpoints share, made once for each application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from fulfillment_api.cache import ShortMemory
from fulfillment_api.database import Database
from fulfillment_api.live.hub import Hub
from fulfillment_api.model_cards import ModelCards
from fulfillment_api.observability.metrics import RequestMetrics
from fulfillment_api.resources.knowledge.indexing import Indexing
from fulfillment_api.resources.metrics.platform import PlatformMetrics
from fulfillment_api.security.keyring import KeyRing
from fulfillment_assets.delay_model.registry.champion import Champion
from fulfillment_assets.scoring.group_commit import GroupCommit
from fulfillment_assets.settings import Settings

_COMMITTING: Final = 3
"""Connections that commit orders: one for these, one for segments, one to look things up."""


@dataclass(frozen=True, slots=True)
class Services:
    """What an application works with.

    Attributes:
        champion: the model that scores; it follows promotions by itself.
        scoring: scores and commits orders, many at a time.
        dashboards: the latest answers of the KPI dashboard, as JSON.
        model_cards: what is known of models, to word reasons.
        indexing: brings documents into the index of the knowledge base.
        live: the live stream.
    """

    settings: Settings
    database: Database
    keys: KeyRing
    metrics: RequestMetrics
    champion: Champion
    scoring: GroupCommit
    dashboards: ShortMemory[bytes]
    model_cards: ModelCards
    indexing: Indexing
    live: Hub

    @classmethod
    def of(cls, settings: Settings, url: str) -> Services:
        """The services over the database at `url`."""
        database = Database(url)
        metrics = RequestMetrics()
        metrics.registry.register(PlatformMetrics(database, settings))
        champion = Champion(database.engine, settings.models_dir)
        return cls(
            settings=settings,
            database=database,
            keys=KeyRing(database),
            metrics=metrics,
            champion=champion,
            scoring=GroupCommit(Database(url, _COMMITTING).engine, champion.scorer),
            dashboards=ShortMemory(seconds=1.0),
            model_cards=ModelCards(),
            indexing=Indexing(settings, database.engine),
            live=Hub(database),
        )


def services_of(app: FastAPI) -> Services:
    """The services of an application."""
    services: Services = app.state.services
    return services
