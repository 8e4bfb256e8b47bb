"""Training data and the classifier that is trained on them."""

from pathlib import Path
from typing import Any

import dagster as dg

from fulfillment_assets.defs.constants import ML_OWNER, MODEL_GROUP
from fulfillment_assets.defs.metadata import table
from fulfillment_assets.defs.resources import Platform

PREVIEW_ROWS = 10


class TrainingConfig(dg.Config):
    """Where the training data come from.

    Attributes:
        data_file: a file of orders with known outcomes, in the Kaggle format. Empty: the file
            of the setting FULFILLMENT_TRAINING_FILE; without one, simulated orders.
    """

    data_file: str | None = None


@dg.asset(
    group_name=MODEL_GROUP,
    owners=[ML_OWNER],
    kinds={"parquet", "pandas"},
    description=(
        "Orders with known outcomes: the ten features and whether the order was late. From a "
        "file of real orders or, without one, from the simulator; the metadata say which."
    ),
)
def training_data(config: TrainingConfig, platform: Platform) -> dg.MaterializeResult[None]:
    """Read or simulate the training data and store them for the classifier."""
    from fulfillment_assets.delay_model.training_data import load_training_data
    from fulfillment_assets.delay_model.training_store import store_training_data

    settings = platform.settings
    chosen = Path(config.data_file) if config.data_file else settings.training_file
    data = load_training_data(chosen)
    path = store_training_data(data, settings.training_dir)
    preview = data.features.slice(0, PREVIEW_ROWS).to_pylist()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": data.features.num_rows,
            "late_share": float(data.late.mean()),
            "source": data.source.kind,
            "source_name": data.source.name,
            "sha256": data.source.sha256,
            "path": dg.MetadataValue.path(str(path)),
            "preview": table(preview),
        }
    )


@dg.asset(
    deps=[training_data],
    group_name=MODEL_GROUP,
    owners=[ML_OWNER],
    kinds={"lightgbm", "scikitlearn"},
    description=(
        "The calibrated delay classifier: its probability is the chance that an order is late "
        "(1 = not on time). Stored with its metrics and checksums in the models folder, where "
        "every run finds it."
    ),
)
def delay_classifier(platform: Platform) -> dg.MaterializeResult[None]:
    """Cross-validate, train, store and register a new version of the model."""
    from fulfillment_assets.delay_model.registry import register_version
    from fulfillment_assets.delay_model.training import save, train
    from fulfillment_assets.delay_model.training_store import stored_training_data

    settings = platform.settings
    metadata = save(train(stored_training_data(settings.training_dir)), settings.models_dir)
    with platform.engine.begin() as connection:
        register_version(connection, metadata)
    metrics: dict[str, Any] = {
        name: metric.model_dump() for name, metric in metadata.metrics.items()
    }
    return dg.MaterializeResult(
        metadata={
            "model_version": metadata.version,
            "rows": metadata.training_data.rows,
            "trained_on": f"{metadata.training_data.kind}: {metadata.training_data.name}",
            "data_sha256": metadata.training_data.sha256,
            "metrics": table([{"metric": name} | values for name, values in metrics.items()]),
            "bands": table([band.model_dump() for band in metadata.bands]),
            "path": dg.MetadataValue.path(str(settings.models_dir)),
        }
    )
