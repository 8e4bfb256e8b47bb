"""What the assets need from outside: the database and the model."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import PrivateAttr

from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.delay_model.scorer import DelayScorer


class Platform(dg.ConfigurableResource[Any]):
    """The platform's settings, its database and its model, each opened when first used."""

    database_url: str

    _opened: list[Any] = PrivateAttr(default_factory=list)

    @property
    def settings(self) -> Settings:
        """Settings from the environment."""
        return Settings()

    @cached_property
    def engine(self) -> "Engine":
        """Engine of the application's schema."""
        from fulfillment_assets.store.connection import create_engine

        return create_engine(self.database_url)

    @cached_property
    def scorer(self) -> "DelayScorer":
        """The current delay model."""
        from fulfillment_assets.delay_model.scorer import DelayScorer

        return DelayScorer.load(self.settings.models_dir)


RESOURCES: Final = {"platform": Platform(database_url=dg.EnvVar("DATABASE_URL"))}
