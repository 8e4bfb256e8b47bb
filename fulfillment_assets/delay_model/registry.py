"""The `model_versions` table: every model that was trained or used here."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.artifacts import CLASSIFIER_FILE
from fulfillment_assets.delay_model.metadata import ModelMetadata


def register_version(connection: Connection, metadata: ModelMetadata) -> None:
    """Note a version with its metrics and data; a version that is known stays as it is."""
    connection.execute(
        sa.text(
            "INSERT INTO model_versions (version, artifact_sha256, metrics, training_data) "
            "VALUES (:version, :sha256, CAST(:metrics AS jsonb), CAST(:training_data AS jsonb)) "
            "ON CONFLICT (version) DO NOTHING"
        ),
        {
            "version": metadata.version,
            "sha256": metadata.artifacts[CLASSIFIER_FILE],
            "metrics": json.dumps({k: v.model_dump() for k, v in metadata.metrics.items()}),
            "training_data": metadata.training_data.model_dump_json(),
        },
    )
