"""What the endpoints share, made once for each application."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI

from fulfillment_api.cache import ShortMemory
from fulfillment_api.database import Database
from fulfillment_api.model_cards import ModelCards
from fulfillment_api.observability.metrics import RequestMetrics
from fulfillment_api.resources.metrics.platform import PlatformMetrics
from fulfillment_api.security.keyring import KeyRing
from fulfillment_assets.delay_model.registry.champion import Champion
from fulfillment_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What an application works with.

    Attributes:
        champion: the model that scores; it follows promotions by itself.
        dashboards: the latest answers of the KPI dashboard, as JSON.
        model_cards: what is known of models, to word reasons.
    """

    settings: Settings
    database: Database
    keys: KeyRing
    metrics: RequestMetrics
    champion: Champion
    dashboards: ShortMemory[bytes]
    model_cards: ModelCards

    @classmethod
    def of(cls, settings: Settings, url: str) -> Services:
        """The services over the database at `url`."""
        database = Database(url)
        metrics = RequestMetrics()
        metrics.registry.register(PlatformMetrics(database, settings))
        return cls(
            settings=settings,
            database=database,
            keys=KeyRing(database),
            metrics=metrics,
            champion=Champion(database.engine, settings.models_dir),
            dashboards=ShortMemory(seconds=1.0),
            model_cards=ModelCards(),
        )


def services_of(app: FastAPI) -> Services:
    """The services of an application."""
    services: Services = app.state.services
    return services
