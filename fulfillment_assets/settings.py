"""Settings, read from the environment.

Every variable stands in the README's table, which a test holds against this class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where things are and how the platform behaves. Thresholds live in the `settings` table."""

    model_config = SettingsConfigDict(env_prefix="FULFILLMENT_", populate_by_name=True)

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL 18 or newer. Unset: an embedded server in the data directory.",
    )
    dagster_postgres_url: SecretStr | None = Field(
        default=None,
        validation_alias="DAGSTER_POSTGRES_URL",
        description="Dagster's own storage. Unset: schema `dagster` of the same database.",
    )
    data_dir: Path = Field(
        default=PROJECT_ROOT / "data",
        description="Where the embedded services and the drop folder keep their files.",
    )
    models_dir: Path = Field(
        default=PROJECT_ROOT / "models",
        description="The model that ships: the first champion of a fresh database.",
    )
    training_file: Path | None = Field(
        default=None,
        description="Orders with known outcomes to train on while your own are too few.",
    )
    inbox_dir: Path | None = Field(
        default=None, description="The watched drop folder. Unset: `inbox/` in the data directory."
    )
    inbox_settle_seconds: float = Field(
        default=2.0, gt=0, description="How long a dropped file must stay unchanged to be taken."
    )
    max_file_bytes: int = Field(
        default=4 * 1024**3, gt=0, description="Largest accepted file, in bytes as dropped."
    )
    postgres_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the embedded PostgreSQL. Unset: 15432, or the next free port.",
    )
    dagster_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the Dagster UI. Unset: 3000, or the next free port.",
    )
    api_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the REST API. Unset: 8000, or the next free port.",
    )
    retention_days: int = Field(
        default=90, ge=1, description="Days for which predictions are kept; older ones are dropped."
    )

    @property
    def training_dir(self) -> Path:
        """Where gathered training data wait for the classifier."""
        return self.data_dir / "training"

    @property
    def inbox(self) -> Path:
        """The watched drop folder."""
        return self.inbox_dir or self.data_dir / "inbox"

    @property
    def processed(self) -> Path:
        """Where scored files and their `.rejected.csv` end up."""
        return self.inbox.parent / "processed"

    @property
    def failed(self) -> Path:
        """Where files end up that could not be read at all."""
        return self.inbox.parent / "failed"

    @property
    def claimed(self) -> Path:
        """Where a file waits, out of the inbox, while its run scores it."""
        return self.inbox.parent / "claimed"
