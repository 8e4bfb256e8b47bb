"""From orders with known outcomes to the model that scores: data, candidates, version, champion.

The own outcomes are training data, too. That arrow is left out of the graph: predictions follow
from the champion and outcomes from predictions, so it would close a circle.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import dagster as dg

from fulfillment_assets.defs.constants import DATABASE_RETRY, ML_OWNER, MODEL_GROUP
from fulfillment_assets.defs.delay_model import metadata
from fulfillment_assets.defs.metadata import picture, table
from fulfillment_assets.defs.resources import Platform

PREVIEW_ROWS: Final = 10

CHECKS: Final = [
    dg.AssetCheckSpec(
        "label_polarity",
        asset="delay_classifier",
        blocking=True,
        description=(
            "Orders with a discount above 10 % were late without exception: they must score as "
            "nearly certain to be late. Fails if the label was inverted."
        ),
    ),
    dg.AssetCheckSpec(
        "no_leak",
        asset="delay_classifier",
        blocking=True,
        description=(
            "No identifier or date is among the features, none follows the order of the rows, and "
            "the metrics are not better than the public data allow."
        ),
    ),
]


class Source(StrEnum):
    """Where training data come from."""

    AUTO = "auto"
    ORDERS = "orders"
    FILE = "file"
    SIMULATOR = "simulator"


class TrainingConfig(dg.Config):
    """Where the training data come from.

    Attributes:
        source: `orders`: the own orders whose outcome is known; `file`: a file in the Kaggle
            format; `simulator`: simulated orders; `auto`: the own orders if enough of them have
            an outcome, else the file. Simulated orders are used only if they are asked for.
        data_file: the file. Empty: that of the setting FULFILLMENT_TRAINING_FILE.
    """

    source: Source = Source.AUTO
    data_file: str | None = None


@dg.asset(
    kinds={"parquet", "postgres"},
    description=(
        "Orders with known outcomes: the ten features and whether the order was late. From the "
        "own delivered orders, a file of real orders, or the simulator; the metadata say which."
    ),
    group_name=MODEL_GROUP,
    owners=[ML_OWNER],
)
def training_data(config: TrainingConfig, platform: Platform) -> dg.MaterializeResult[None]:
    """Gather the training data and store them for the candidates and the classifier."""
    from fulfillment_assets.delay_model.errors import TrainingDataError
    from fulfillment_assets.delay_model.training.store import store_training_data
    from fulfillment_assets.monitoring.training_source import choose_source

    settings = platform.settings
    with platform.engine.connect() as connection:
        try:
            data = choose_source(
                connection,
                settings,
                source=config.source.value,
                file=Path(config.data_file) if config.data_file else None,
                simulated_allowed=config.source is Source.SIMULATOR,
            )
        except TrainingDataError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
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
    kinds={"lightgbm", "scikitlearn"},
    description=(
        "Every model of the declared search space, calibrated and cross-validated on the same "
        "folds, and the one that is chosen: the simplest within one standard error of the best."
    ),
    group_name=MODEL_GROUP,
    owners=[ML_OWNER],
)
def model_candidates(platform: Platform) -> dg.MaterializeResult[None]:
    """Compare the candidates; the classifier is then trained as the chosen one."""
    from fulfillment_assets.delay_model.training import candidates
    from fulfillment_assets.delay_model.training.store import store_search, stored_training_data

    folder = platform.settings.training_dir
    data = stored_training_data(folder)
    results = candidates.compare_candidates(data, candidates.SEARCH_SPACE)
    path = store_search(results, data, folder)
    return dg.MaterializeResult(
        metadata={
            "chosen": candidates.choose(results).name,
            "candidates": metadata.candidate_table(results),
            "data_sha256": data.source.sha256,
            "path": dg.MetadataValue.path(str(path)),
        }
    )


@dg.asset(
    deps=[model_candidates],
    kinds={"lightgbm", "scikitlearn", "postgres"},
    check_specs=CHECKS,
    description=(
        "A newly trained version of the calibrated delay classifier: its probability is the chance "
        "that an order is late (1 = not on time). A row of `fulfillment.model_versions` with its "
        "files; it scores only once it is the champion."
    ),
    group_name=MODEL_GROUP,
    owners=[ML_OWNER],
)
def delay_classifier(
    platform: Platform,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Cross-validate, train and register the chosen candidate, and guard it."""
    from fulfillment_assets.delay_model.registry.challenger import enter
    from fulfillment_assets.delay_model.training import plots
    from fulfillment_assets.delay_model.training.candidates import choose
    from fulfillment_assets.delay_model.training.fit import train
    from fulfillment_assets.delay_model.training.store import stored_search, stored_training_data

    folder = platform.settings.training_dir
    data = stored_training_data(folder)
    search = stored_search(folder, data)
    model = train(data, candidate=choose(search), search=search)
    challenger = enter(platform.engine, model, data)
    yield dg.MaterializeResult(
        metadata=metadata.of_model(challenger.metadata)
        | {name: picture(plots.png(shown)) for name, shown in plots.figures(model, data).items()}
    )
    for name, guard in (("label_polarity", challenger.polarity), ("no_leak", challenger.leaks)):
        yield dg.AssetCheckResult(passed=guard.passed, check_name=name, description=guard.message)


class PromotionConfig(dg.Config):
    """Which version is judged.

    Attributes:
        version: as `fulfillment model list` shows it. Empty: the version trained last.
    """

    version: str | None = None


@dg.asset(
    deps=[delay_classifier],
    kinds={"postgres"},
    retry_policy=DATABASE_RETRY,
    description=(
        "The version that scores. The newest version takes its place only if it is better on the "
        "frozen holdout by a paired bootstrap, and in no segment worse than the margin; runs and "
        "API then use it without a restart. Table `fulfillment.model_champion`."
    ),
    group_name=MODEL_GROUP,
    owners=[ML_OWNER],
)
def champion(config: PromotionConfig, platform: Platform) -> dg.MaterializeResult[None]:
    """Judge a version against the champion, and promote it if it is better."""
    from fulfillment_assets.delay_model.registry.promotion import promote
    from fulfillment_assets.delay_model.registry.versions import versions

    version = config.version
    if version is None:
        with platform.engine.connect() as connection:
            known = versions(connection)
        if not known:
            raise dg.Failure(
                "No version is known: materialise delay_classifier first.", allow_retries=False
            )
        version = max(known, key=lambda one: one.last_trained_at).version
    decision = promote(platform.engine, version, platform.settings.models_dir, by="dagster")
    return dg.MaterializeResult(metadata=metadata.of_decision(version, decision))
