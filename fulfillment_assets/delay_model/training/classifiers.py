"""The classifiers that can be trained: each calibrated in the same way, seeded, on one thread.

On one thread the same data give the same bits, whatever machine they are trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.features import CATEGORICAL
from fulfillment_assets.orders.contract import FEATURES

SEED: Final = 17
FOLDS: Final = 5

Family: TypeAlias = Literal["logistic_regression", "random_forest", "xgboost", "lightgbm"]
Parameters: TypeAlias = Mapping[str, Any]


def build_classifier(family: Family, parameters: Parameters) -> Any:
    """An unfitted classifier inside scikit-learn's cross-validated calibration.

    One model is fitted on all rows; the isotonic map is fitted on what others said out of fold.

    Args:
        family: kind of model.
        parameters: hyperparameters, under the names of the library's scikit-learn interface.

    Raises:
        DelayModelError: the family's library is not installed.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    model = _BUILDERS[family](parameters)
    return CalibratedClassifierCV(model, method="isotonic", cv=folds, ensemble=False)


def _build_logistic_regression(parameters: Parameters) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    codes = [FEATURES.index(name) for name in CATEGORICAL]
    one_hot = ("one_hot", OneHotEncoder(handle_unknown="ignore"), codes)
    columns = ColumnTransformer([one_hot], remainder=StandardScaler())
    return make_pipeline(columns, LogisticRegression(max_iter=1000, **parameters))


def _build_random_forest(parameters: Parameters) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**parameters, random_state=SEED, n_jobs=1)


def _build_xgboost(parameters: Parameters) -> Any:
    try:
        from xgboost import XGBClassifier
    except ImportError as error:
        raise DelayModelError(
            "XGBoost is not installed: it serves comparison only, and comes with the development "
            "dependencies (`make setup`). Leave the candidate xgboost out, or install it."
        ) from error
    return XGBClassifier(**parameters, random_state=SEED, n_jobs=1)


def _build_lightgbm(parameters: Parameters) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        **parameters,
        random_state=SEED,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )


_BUILDERS: Final[Mapping[Family, Callable[[Parameters], Any]]] = {
    "logistic_regression": _build_logistic_regression,
    "random_forest": _build_random_forest,
    "xgboost": _build_xgboost,
    "lightgbm": _build_lightgbm,
}
