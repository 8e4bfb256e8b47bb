"""What the assets need from outside: the database and the model."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from structlog.contextvars import bind_contextvars, unbind_contextvars

from fulfillment_assets.defs.constants import CORRELATION_TAG
from fulfillment_assets.observability.correlation import CORRELATION_ID, RUN_ID
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.delay_model.scorer import DelayScorer


class Platform(dg.ConfigurableResource[Any]):
    """The platform's settings, its database and its model, each opened when first used."""

    database_url: str

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
        """The champion; a run keeps the one that it started with."""
        from fulfillment_assets.delay_model.errors import DelayModelError
        from fulfillment_assets.delay_model.registry.champion import Champion

        try:
            return Champion(self.engine, self.settings.models_dir).scorer()
        except DelayModelError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Let the log lines of a run tell which run it is, and what it follows from."""
        run = context.run
        if run is not None:
            bind_contextvars(**{RUN_ID: run.run_id})
            if CORRELATION_TAG in run.tags:
                bind_contextvars(**{CORRELATION_ID: run.tags[CORRELATION_TAG]})

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the connections: a run or a tick of a sensor leaves none behind."""
        unbind_contextvars(RUN_ID, CORRELATION_ID)
        if "engine" in self.__dict__:
            self.engine.dispose()


RESOURCES: Final = {"platform": Platform(database_url=dg.EnvVar("DATABASE_URL"))}
