"""The figures of the model card, as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.metrics import Metric
from fulfillment_assets.delay_model.training.fairness import Estimate, FairnessReport

_FIGURES: Final = {
    "late_share": "was late",
    "called_late": "called late (probability above 0.5)",
    "called_critical": "called critical (above 0.7)",
    "recall": "late orders that are called late (TPR)",
    "false_positive_rate": "punctual orders that are called late (FPR)",
    "precision": "precision of being called late",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "roc_auc": "ROC-AUC",
}
_SHARES: Final = tuple(_FIGURES)[:6]


def card_regions(model: ModelMetadata, fairness: FairnessReport) -> dict[str, str]:
    """Each table of the card by the name of its region, with a newline at the end.

    Args:
        model: the shipped model.
        fairness: measured of the same setting on the same data.
    """
    return {
        "model-details": _details(model),
        "model-data": _data(model),
        "model-search": _search(model),
        "model-metrics": _metrics(model),
        "model-bands": _bands(model),
        "model-unseen": _unseen(model),
        "model-gender": _gender(fairness),
        "model-without-gender": _without(fairness),
    }


def _details(model: ModelMetadata) -> str:
    parameters = (f"`{name}` {value:g}" for name, value in model.hyperparameters.items())
    libraries = (f"{name} {version}" for name, version in model.library_versions.items())
    return _table(
        ("what", "which"),
        [
            ("version", f"`{model.version}`"),
            ("kind", f"LightGBM with isotonic calibration, `{model.candidate}`"),
            ("hyperparameters", ", ".join(parameters)),
            ("features", ", ".join(f"`{name}`" for name in model.features)),
            ("predicts", f"`{model.label.name}`: {model.label.meaning}"),
            ("trained with", ", ".join(libraries)),
            *((f"sha256 of `{name}`", f"`{digest}`") for name, digest in model.artifacts.items()),
        ],
    )


def _data(model: ModelMetadata) -> str:
    data = model.training_data
    rows = [
        ("source", f"{data.kind}: `{data.name}`"),
        ("sha256", f"`{data.sha256}`"),
        ("orders learnt from", f"{data.rows:,}, {data.late_share:.1%} late"),
    ]
    if model.held_out is not None:
        held_out = model.held_out
        rows.append(("orders held out", f"{held_out.rows:,}, {held_out.late_share:.1%} late"))
    return _table(("what", "which"), rows)


def _search(model: ModelMetadata) -> str:
    tried = model.search.candidates if model.search else ()
    return _table(
        ("candidate", "Brier score", "ROC-AUC", ""),
        (
            (f"`{one.name}`", _spread(one.brier, 5), _spread(one.roc_auc), _role(one.name, model))
            for one in tried
        ),
    )


def _role(candidate: str, model: ModelMetadata) -> str:
    return "chosen" if candidate == model.candidate else ""


def _metrics(model: ModelMetadata) -> str:
    held_out = model.held_out.metrics if model.held_out else {}
    return _table(
        ("metric", "cross-validated, mean ± std over folds", "held out"),
        (
            (name, _spread(metric), f"{held_out[name]:.4f}" if name in held_out else "")
            for name, metric in model.metrics.items()
        ),
    )


def _bands(model: ModelMetadata) -> str:
    return _table(
        ("severity", "probability", "share of orders", "of these late (precision)"),
        (
            (
                band.severity,
                f"{band.above:g} to {band.up_to:g}",
                f"{band.share:.2%}",
                "no orders" if band.late_rate is None else f"{band.late_rate:.1%}",
            )
            for band in model.bands
        ),
    )


def _unseen(model: ModelMetadata) -> str:
    return _table(
        ("feature", "category without training orders", "scored as"),
        (
            (f"`{feature}`", unseen, seen)
            for feature, stand_ins in model.unseen_categories.items()
            for unseen, seen in stand_ins.items()
        ),
    )


def _gender(fairness: FairnessReport) -> str:
    first, second = fairness.groups
    heads = (f"{group.name} ({group.orders:,} orders)" for group in fairness.groups)
    return _table(
        ("figure", *heads, f"{first.name} less {second.name}"),
        (
            (
                title,
                *(
                    _estimate(figures[name], share=name in _SHARES)
                    for figures in (first.figures, second.figures, fairness.difference)
                ),
            )
            for name, title in _FIGURES.items()
        ),
    )


def _without(fairness: FairnessReport) -> str:
    swap = fairness.swap
    changes = (
        (f"{_FIGURES[name]} without the feature, less with it", f"{e.value:+.5f} {_interval(e, 5)}")
        for name, e in fairness.without.items()
    )
    return _table(
        ("what", "change"),
        [
            *changes,
            ("gender exchanged: mean change of the probability", f"{swap.mean_change:.6f}"),
            ("gender exchanged: largest change of the probability", f"{swap.largest_change:.6f}"),
            ("gender exchanged: orders called late by one only", f"{swap.called_late:.2%}"),
            ("gender exchanged: orders called critical by one only", f"{swap.critical:.2%}"),
        ],
    )


def _spread(metric: Metric, digits: int = 4) -> str:
    return f"{metric.mean:.{digits}f} ± {metric.std:.{digits}f}"


def _estimate(estimate: Estimate, *, share: bool) -> str:
    if not share:
        return f"{estimate.value:.4f} {_interval(estimate, 4)}"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f} % [{low:.1f}, {high:.1f}]"


def _interval(estimate: Estimate, digits: int) -> str:
    return f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
