"""Models, comparisons and decisions, for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from fulfillment_assets.cli.text import results
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.registry.decisions import Decision
from fulfillment_assets.delay_model.registry.evidence import Verdict
from fulfillment_assets.delay_model.registry.holdout import Holdout
from fulfillment_assets.delay_model.registry.versions import ModelVersion

_METRICS: Final = {"roc_auc": "AUC", "accuracy": "accuracy", "brier": "Brier", "ece": "ECE"}
_FIGURES: Final = {
    "brier": "Brier score",
    "log_loss": "log loss",
    "roc_auc": "ROC-AUC",
    "ece": "calibration error",
}
_WORDS: Final = {"first": "first champion", "promoted": "promoted", "refused": "refused"}


def version_table(known: Sequence[ModelVersion]) -> Table:
    """The known versions, a row each; the champion is marked."""
    table = Table(title="Models", title_justify="left", caption="* the champion, which scores")
    table.add_column("version", no_wrap=True)
    table.add_column("trained on", overflow="fold")
    for name in ("orders", *_METRICS.values()):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last trained", no_wrap=True)
    table.add_column("latest decision")
    for model in known:
        table.add_row(
            f"{model.version} [bold green]*[/]" if model.is_champion else model.version,
            escape(f"{model.trained_on}: {model.data_name}"),
            f"{model.rows:,}",
            *(f"{model.metrics[name]:.4f}" for name in _METRICS),
            f"{model.last_trained_at:%Y-%m-%d}",
            "" if model.decision is None else _said_of(model.version, model.decision),
        )
    return table


def print_model(
    known: ModelVersion, metadata: ModelMetadata, decisions: Sequence[Decision]
) -> None:
    """Print everything that is known of a version."""
    data = metadata.training_data
    facts = {
        "scores": "yes, it is the champion" if known.is_champion else "no",
        "trained on": f"{data.kind}: {data.name}",
        "orders": f"{data.rows:,} learnt from ({data.late_share:.1%} late), "
        f"{data.held_out:,} held out",
        "sha256 of the data": data.sha256,
        "first registered": _moment(known.created_at),
        "last trained": _moment(known.last_trained_at),
        "libraries": ", ".join(f"{name} {v}" for name, v in metadata.library_versions.items()),
        **{f"sha256 of {name}": digest for name, digest in metadata.artifacts.items()},
    }
    results.print(
        _fact_table(f"Model {known.version}", facts),
        metric_table(metadata),
        _band_table(metadata),
    )
    results.print(_decision_table(known.version, decisions))


def print_decision(decision: Decision) -> None:
    """Print what became of a promotion, with the comparison if there was one."""
    if decision.evidence is not None:
        verdict = Verdict.model_validate(decision.evidence)
        results.print(_comparison_table(verdict), _segment_table(verdict))
        judges = verdict.holdout
        results.print(
            f"Judged by {judges.orders:,} held-out orders of {judges.name}. {verdict.summary}.",
            markup=False,
            soft_wrap=True,
        )
    if decision.action == "refused":
        reasons = (decision.evidence or {}).get("reasons") or [decision.reason]
        results.print(f"Refused; {decision.champion} stays the champion:", markup=False)
        for reason in reasons:
            results.print(f"- {reason}", markup=False, soft_wrap=True)
        return
    before = f"after {decision.champion}" if decision.champion else "the first one"
    results.print(f"Promoted: {decision.version} is the champion now, {before}.", markup=False)


def holdout_summary(holdout: Holdout) -> dict[str, Any]:
    """Which orders judge models, for `--json`."""
    return {
        "kind": holdout.kind,
        "name": holdout.name,
        "sha256": holdout.sha256,
        "orders": len(holdout.late),
        "late_share": round(float(holdout.late.mean()), 6),
        "frozen_at": None if holdout.frozen_at is None else holdout.frozen_at.isoformat(),
    }


def holdout_table(holdout: Holdout) -> Table:
    """Which orders judge models."""
    frozen = "no, these judge until others are frozen"
    facts = {
        "taken from": f"{holdout.kind}: {holdout.name}",
        "orders": f"{len(holdout.late):,}",
        "late": f"{holdout.late.mean():.1%}",
        "sha256": holdout.sha256,
        "frozen": frozen if holdout.frozen_at is None else _moment(holdout.frozen_at),
    }
    return _fact_table("Holdout", facts)


def metric_table(metadata: ModelMetadata) -> Table:
    """The metrics of a cross-validation, a row each."""
    how = metadata.validation
    table = _table(f"Out of sample, {how.repeats} x {how.folds} folds", "metric")
    for name in ("mean", "std"):
        table.add_column(name, justify="right")
    for name, metric in metadata.metrics.items():
        table.add_row(name, f"{metric.mean:.4f}", f"± {metric.std:.4f}")
    return table


def _fact_table(title: str, facts: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, fact in facts.items():
        table.add_row(name, escape(fact))
    return table


def _band_table(metadata: ModelMetadata) -> Table:
    table = _table("Severity bands", "severity", "probability")
    for name in ("share of orders", "of these late"):
        table.add_column(name, justify="right")
    for band in metadata.bands:
        late = "-" if band.late_rate is None else f"{band.late_rate:.1%}"
        bounds = f"above {band.above} to {band.up_to}"
        table.add_row(band.severity, bounds, f"{band.share:.1%}", late)
    return table


def _decision_table(version: str, decisions: Iterable[Decision]) -> Table:
    table = _table("Decisions", "when", "decision", "champion before", "reason", "by")
    for decision in decisions:
        table.add_row(
            _moment(decision.decided_at),
            _said_of(version, decision),
            decision.champion or "",
            escape(_explained(decision)),
            escape(decision.decided_by),
        )
    return table


def _explained(decision: Decision) -> str:
    """The reason, with the figures of the comparison where it does not give them."""
    compared = (decision.evidence or {}).get("summary", "")
    return decision.reason if compared in decision.reason else f"{decision.reason} ({compared})"


def _said_of(version: str, decision: Decision) -> str:
    """A decision in words, from one version's point of view."""
    if decision.action == "rolled_back":
        return "rolled back" if decision.champion == version else "champion again"
    words = f"{_WORDS[decision.action]}{' by force' if decision.forced else ''}"
    return words if decision.version == version else f"{decision.version} {words}"


def _comparison_table(verdict: Verdict) -> Table:
    table = _table("Comparison", "")
    for name in ("champion", "challenger", "difference"):
        table.add_column(name, justify="right")
    table.add_row("version", verdict.champion.version, verdict.challenger.version, "")
    for name, words in _FIGURES.items():
        old, new = getattr(verdict.champion, name), getattr(verdict.challenger, name)
        table.add_row(words, f"{old:.4f}", f"{new:.4f}", f"{new - old:+.4f}")
    return table


def _segment_table(verdict: Verdict) -> Table:
    most = verdict.limits.segment_margin
    table = _table(f"Brier score by segment (worse by at most {most})", "segment")
    for name in ("orders", "champion", "challenger", "difference"):
        table.add_column(name, justify="right")
    for segment in verdict.segments:
        table.add_row(
            f"{segment.feature} {segment.category}",
            f"{segment.orders:,}",
            f"{segment.champion:.4f}",
            f"{segment.challenger:.4f}",
            f"{segment.worse_by:+.4f}",
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _moment(when: dt.datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
