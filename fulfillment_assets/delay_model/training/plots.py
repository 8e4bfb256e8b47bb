"""Pictures of how good a trained model is, and of what it looks at.

Each function gives a matplotlib Figure, for a notebook to show or for `png` to encode. No global
state of matplotlib is touched, so they may be drawn anywhere.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.delay_model.bands import Band
from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metrics import (
    DECISION,
    ECE_BINS,
    expected_calibration_error,
)
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import TrainedModel
from fulfillment_assets.delay_model.training.validation import OutOfFold
from fulfillment_assets.orders.contract import FEATURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES: Final = (7.0, 4.6)
DPI: Final = 100

# Okabe and Ito's colours, which the colour-blind can tell apart.
_BLUE: Final = "#0072B2"
_ORANGE: Final = "#D55E00"
_GREY: Final = "#8C8C8C"
_PALE: Final = "#D9D9D9"
_SEVERITY: Final = {
    "critical": "#D55E00",
    "warning": "#E69F00",
    "info": "#56B4E9",
    "none": "#009E73",
}


def figures(model: TrainedModel, data: TrainingData) -> dict[str, Figure]:
    """Every picture of a model, by name.

    Args:
        model: a trained model.
        data: what it was trained on, or other orders like them.
    """
    return {
        "roc": roc(model.out_of_fold),
        "calibration": calibration(model.out_of_fold),
        "confusion": confusion(model.out_of_fold),
        "importances": importances(model, data.features),
        "severity_bands": severity_bands(model.bands),
    }


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def roc(predicted: OutOfFold) -> Figure:
    """ROC curves: of each fold, and of all out-of-fold predictions together."""
    from sklearn.metrics import roc_curve

    figure, [axes] = _figure("ROC curve, out of fold")
    for fold in predicted.folds():
        axes.plot(*roc_curve(fold.late, fold.probability)[:2], color=_PALE, linewidth=0.8, zorder=1)
    auc = predicted.metrics()["roc_auc"]
    axes.plot([], [], color=_PALE, label="single folds")
    axes.plot(
        *roc_curve(predicted.late, predicted.probability)[:2],
        color=_BLUE,
        linewidth=2,
        label=f"all folds, AUC {auc.mean:.3f} ± {auc.std:.3f}",
    )
    called, late = predicted.probability > DECISION, predicted.late == 1
    axes.plot(
        called[~late].mean(),
        called[late].mean(),
        "o",
        color=_ORANGE,
        label=f"decision at probability {DECISION:g}",
        zorder=3,
    )
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1, label="chance")
    axes.set(xlabel="Share of punctual orders called late", ylabel="Share of late orders found")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def calibration(predicted: OutOfFold) -> Figure:
    """Predicted against observed lateness, before and after isotonic calibration.

    In ten bins of equal width, those of the calibration error (ECE); below, how many orders are in
    each. A single fold's error is larger than that of all together, since it has fewer orders to
    average over.
    """
    figure, [axes, below] = _figure(
        "Calibration: of the orders given a probability, how many were late",
        rows=2,
        height_ratios=[3, 1],
        sharex=True,
    )
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1, label="perfect")
    for name, field, colour, shift in (
        ("before", "raw", _ORANGE, -0.2),
        ("after", "probability", _BLUE, 0.2),
    ):
        probability = getattr(predicted, field)
        pooled = expected_calibration_error(predicted.late, probability)
        single = [expected_calibration_error(f.late, getattr(f, field)) for f in predicted.folds()]
        label = f"{name}: ECE {pooled:.3f} over all folds, {np.mean(single):.3f} in a single one"
        expected, observed, share = _reliability(predicted.late, probability)
        axes.plot(expected, observed, color=colour, linewidth=1, alpha=0.5)
        size = 15 + 400 * share[share > 0]
        axes.scatter(expected, observed, size, color=colour, alpha=0.9, linewidth=0)
        axes.plot([], [], "o", color=colour, label=label)
        centres = (np.arange(ECE_BINS) + 0.5 + shift) / ECE_BINS
        below.bar(centres, share, width=0.4 / ECE_BINS, color=colour)
    axes.set(ylabel="Share that was late", xlim=(0, 1), ylim=(0, 1.05))
    axes.legend(loc="upper left", frameon=False)
    below.set(xlabel="Predicted probability of being late", ylabel="Orders")
    below.yaxis.set_major_formatter(_percent())
    return figure


def confusion(predicted: OutOfFold) -> Figure:
    """What was predicted at probability 0.5, against what became of the orders."""
    called = (predicted.probability > DECISION).astype(np.int64)
    table = np.zeros((2, 2))
    np.add.at(table, (predicted.late, called), 1)
    share = table / table.sum(axis=1, keepdims=True)
    figure, [axes] = _figure(f"Confusion matrix: late if the probability is above {DECISION:g}")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = ("on time", "late")
    for (actual, predicted_as), part in np.ndenumerate(share):
        axes.text(
            predicted_as,
            actual,
            f"{part:.1%}\nof those that were {names[actual]}\n"
            f"({table[actual, predicted_as] / table.sum():.1%} of all)",
            ha="center",
            va="center",
            color="white" if part > 0.6 else "black",
        )
    axes.set_xticks([0, 1], [f"called {name}" for name in names])
    axes.set_yticks([0, 1], [f"was {name}" for name in names])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def importances(model: TrainedModel, orders: pa.Table) -> Figure:
    """What the trees look at: gain, and mean absolute SHAP value.

    Gain is the share of all reduction of the training loss. SHAP values are in log-odds of being
    late, before calibration.

    Args:
        model: a trained model.
        orders: for whose predictions SHAP values are averaged.
    """
    [calibrated] = model.classifier.calibrated_classifiers_
    booster = calibrated.estimator.booster_
    gain = booster.feature_importance("gain")
    explained = booster.predict(model.encoder.matrix(orders), pred_contrib=True, num_threads=1)
    shap = np.abs(explained[:, :-1]).mean(axis=0)
    order = np.argsort(shap, kind="stable")
    figure, (left, right) = _figure("What the model looks at", columns=2, sharey=True)
    names = [FEATURES[feature].replace("_", " ") for feature in order]
    _bars(left, names, gain[order] / gain.sum(), _BLUE, "{:.1%}")
    _bars(right, names, shap[order], _ORANGE, "{:.3f}")
    left.set(xlabel="Share of gain")
    left.xaxis.set_major_formatter(_percent())
    right.set(xlabel="Mean |SHAP value|, log-odds")
    return figure


def severity_bands(bands: Sequence[Band]) -> Figure:
    """How many orders each severity has, and how many of them were late."""
    figure, (left, right) = _figure("Severity bands, out of sample", columns=2, sharey=True)
    mildest_first = bands[::-1]
    names = [f"{b.severity}\n{b.above:g} to {b.up_to:g}" for b in mildest_first]
    colours = [_SEVERITY[band.severity] for band in mildest_first]
    shares = np.array([band.share for band in mildest_first])
    late = np.array([band.late_rate or 0.0 for band in mildest_first])
    _bars(left, names, shares, colours, "{:.1%}")
    _bars(right, names, late, colours, "{:.1%}")
    for axes, label in ((left, "Share of all orders"), (right, "Share of these that was late")):
        axes.set(xlabel=label)
        axes.xaxis.set_major_formatter(_percent())
    return figure


def _reliability(
    late: Labels, probability: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean prediction and late share of each bin with orders; share of orders of every bin."""
    bins = np.minimum((probability * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    count = np.bincount(bins, minlength=ECE_BINS)
    filled = count > 0
    expected = np.bincount(bins, probability, ECE_BINS)[filled] / count[filled]
    observed = np.bincount(bins, late, ECE_BINS)[filled] / count[filled]
    return expected, observed, count / len(late)


def _figure(
    title: str, *, rows: int = 1, columns: int = 1, **layout: Any
) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(rows, columns, squeeze=False, **layout).ravel().tolist()
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _bars(
    axes: Axes, names: Sequence[str], values: npt.NDArray[np.float64], colour: Any, form: str
) -> None:
    bars = axes.barh(names, values, color=colour)
    axes.bar_label(bars, [form.format(value) for value in values], padding=3, fontsize=9)
    axes.set_xlim(0, float(values.max()) * 1.2)


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1, decimals=0)
