"""The tables `model_versions` and `model_artifacts`: every model that is known, with its files.

The files are pickles, which run code when they are opened: whoever may write these tables may
run code wherever orders are scored.
"""

from __future__ import annotations

import datetime as dt
import json

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.artifacts import (
    CLASSIFIER_FILE,
    FILES,
    PREPROCESSOR_FILE,
    ModelFiles,
    verify_artifacts,
)
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.metadata import ModelMetadata, SourceKind
from fulfillment_assets.delay_model.registry.decisions import Decision, decisions
from fulfillment_assets.delay_model.registry.errors import OtherModelError, UnknownVersionError
from fulfillment_assets.delay_model.scorer import DelayScorer


class ModelVersion(BaseModel):
    """A known model, in short.

    Attributes:
        version: its name.
        trained_on: kind of its training data.
        data_name: their name.
        rows: how many orders it learnt from.
        metrics: out-of-sample means.
        created_at: when it was registered first.
        last_trained_at: when training, or a registration, last gave it again.
        is_champion: it is the version that scores.
        decision: the latest about it, its being rolled back included.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    trained_on: SourceKind
    data_name: str
    rows: int
    metrics: dict[str, float]
    created_at: dt.datetime
    last_trained_at: dt.datetime
    is_champion: bool
    decision: Decision | None


def register(connection: Connection, files: ModelFiles) -> ModelMetadata:
    """Make a model known, in the caller's transaction; it does not score by that.

    Of a version that is known already, only `last_trained_at` moves; it gets its files if they
    were not kept before. The files' digests are verified, the files are not opened.

    Raises:
        ArtifactError: a file is missing, altered or made for other code.
        OtherModelError: the version is known, and is another model.
    """
    metadata = verify_artifacts(files)
    connection.execute(
        sa.text(
            "INSERT INTO model_versions (version, artifact_sha256, metrics, training_data) "
            "VALUES (:version, :sha256, CAST(:metrics AS jsonb), CAST(:training_data AS jsonb)) "
            "ON CONFLICT (version) DO UPDATE SET last_trained_at = excluded.last_trained_at"
        ),
        {
            "version": metadata.version,
            "sha256": metadata.artifacts[CLASSIFIER_FILE],
            "metrics": json.dumps({k: v.model_dump() for k, v in metadata.metrics.items()}),
            "training_data": metadata.training_data.model_dump_json(),
        },
    )
    connection.execute(
        sa.text(
            "INSERT INTO model_artifacts (version, name, content) "
            "VALUES (:version, :name, :content) ON CONFLICT DO NOTHING"
        ),
        [{"version": metadata.version, "name": name, "content": files[name]} for name in FILES],
    )
    _refuse_another_model(connection, metadata)
    return metadata


def read_version(connection: Connection, version: str) -> ModelFiles:
    """The files of a version; nothing is verified or opened yet.

    Raises:
        UnknownVersionError: there is no such version, or its files are not kept.
    """
    rows = connection.execute(
        sa.text(
            "SELECT a.name, a.content FROM model_versions v "
            "LEFT JOIN model_artifacts a USING (version) WHERE version = :version"
        ),
        {"version": version},
    ).all()
    if not rows:
        raise UnknownVersionError(
            f"There is no model version {version!r}; `fulfillment model list` shows those that are."
        )
    if rows[0].name is None:
        raise UnknownVersionError(
            f"The model {version} was registered before model files were kept: only its metrics "
            "are known. Train on the same data again, or register a folder with its files."
        )
    return ModelFiles(f"model_artifacts/{version}", {row.name: bytes(row.content) for row in rows})


def open_version(engine: Engine, version: str) -> DelayScorer:
    """Load a version; see `DelayScorer.open`.

    Raises:
        UnknownVersionError: there is no such version, or its files are not kept.
        ArtifactError: its files are not a model that scores as when it was trained.
    """
    with engine.connect() as connection:
        files = read_version(connection, version)
    try:
        return DelayScorer.open(files)
    except ArtifactError:
        raise
    except Exception as error:  # what was pickled may be anything, and so may what it raises
        raise ArtifactError(f"The model {version} is none that can score: {error!r}.") from error


def versions(connection: Connection) -> list[ModelVersion]:
    """Every known version, the newest first."""
    latest: dict[str, Decision] = {}
    for decision in decisions(connection):
        latest[decision.version] = decision
        if decision.action == "rolled_back" and decision.champion is not None:
            latest[decision.champion] = decision
    rows = connection.execute(
        sa.text(
            "SELECT v.version, v.training_data, v.metrics, v.created_at, v.last_trained_at, "
            "c.version IS NOT NULL AS is_champion "
            "FROM model_versions v LEFT JOIN model_champion c USING (version) "
            "ORDER BY v.created_at DESC, v.version"
        )
    )
    return [
        ModelVersion(
            version=row.version,
            trained_on=row.training_data["kind"],
            data_name=row.training_data["name"],
            rows=row.training_data["rows"],
            metrics={name: metric["mean"] for name, metric in row.metrics.items()},
            created_at=row.created_at,
            last_trained_at=row.last_trained_at,
            is_champion=row.is_champion,
            decision=latest.get(row.version),
        )
        for row in rows
    ]


def _refuse_another_model(connection: Connection, metadata: ModelMetadata) -> None:
    """A version is named after its files' bytes, but a file can be edited to say another name."""
    kept = connection.execute(
        sa.text(
            "SELECT v.artifact_sha256 AS classifier, "
            "encode(sha256(a.content), 'hex') AS preprocessor "
            "FROM model_versions v JOIN model_artifacts a USING (version) "
            "WHERE v.version = :version AND a.name = :preprocessor"
        ),
        {"version": metadata.version, "preprocessor": PREPROCESSOR_FILE},
    ).one()
    told = (metadata.artifacts[CLASSIFIER_FILE], metadata.artifacts[PREPROCESSOR_FILE])
    if (kept.classifier, kept.preprocessor) != told:
        raise OtherModelError(
            f"Another model is known as version {metadata.version}: its files have other digests. "
            "A version is named when it is trained; do not edit model_metadata.json."
        )
