"""Metadata of the model's assets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from fulfillment_assets.defs.metadata import table

if TYPE_CHECKING:
    from fulfillment_assets.delay_model.metadata import ModelMetadata
    from fulfillment_assets.delay_model.registry.decisions import Decision
    from fulfillment_assets.delay_model.training.candidates import CandidateResult


def candidate_table(results: Sequence["CandidateResult"]) -> dg.MetadataValue[Any]:
    """Candidates with the means of their metrics, in the order of the search space."""
    return table(
        [
            {
                "candidate": result.candidate.name,
                "family": result.candidate.family,
                "may be chosen": result.candidate.eligible,
            }
            | {name: metric.mean for name, metric in result.metrics.items()}
            | {"brier std": result.metrics["brier"].std}
            for result in results
        ]
    )


def of_model(model: "ModelMetadata") -> dict[str, Any]:
    """What a version was trained on, and how good it is."""
    data = model.training_data
    metrics = {name: metric.model_dump() for name, metric in model.metrics.items()}
    held_out = model.held_out
    return {
        "model_version": model.version,
        "candidate": model.candidate,
        "rows": data.rows,
        "held_out_rows": data.held_out,
        "trained_on": f"{data.kind}: {data.name}",
        "data_sha256": data.sha256,
        "metrics": table(
            [
                {"metric": name}
                | values
                | ({} if held_out is None else {"held out": held_out.metrics[name]})
                for name, values in metrics.items()
            ]
        ),
        "bands": table([band.model_dump() for band in model.bands]),
        "artifacts": table([{"file": n, "sha256": s} for n, s in model.artifacts.items()]),
    }


def of_decision(version: str, decision: "Decision | None") -> dict[str, Any]:
    """What became of a challenger; with the comparison, if there was one."""
    if decision is None:
        return {"champion": version, "action": "none", "reason": f"{version} is the champion"}
    refused = decision.action == "refused"
    found: dict[str, Any] = {
        "champion": (decision.champion or version) if refused else version,
        "challenger": version,
        "action": decision.action,
        "reason": decision.reason,
    }
    evidence = decision.evidence
    if evidence is not None:
        found["figures"] = table([evidence["champion"], evidence["challenger"]])
        found["improvement"] = table([evidence["improvement"]])
        found["segments"] = table(evidence["segments"])
        found["holdout"] = table([evidence["holdout"]])
    return found
