"""What the code location defines, as plain data.

`python -m tests.defs.definitions_snapshot` writes `definitions.json` anew; its change then shows
in review what changed in the asset graph.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import dagster as dg

from fulfillment_assets.definitions import defs

PATH: Final = Path(__file__).with_name("definitions.json")


def snapshot() -> dict[str, Any]:
    """Every asset, check, job, sensor and schedule."""
    repository = defs.get_repository_def()
    return {
        "assets": {
            key.to_user_string(): _asset(repository.asset_graph.get(key))
            for key in sorted(repository.asset_graph.get_all_asset_keys())
        },
        "checks": {
            f"{key.asset_key.to_user_string()}: {key.name}": _check(repository, key)
            for key in sorted(
                repository.asset_graph.asset_check_keys, key=lambda key: (key.asset_key, key.name)
            )
        },
        "jobs": {
            job.name: _job(job)
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "sensors": {
            sensor.name: {
                "description": sensor.description,
                "jobs": [target.job_name for target in sensor.targets],
                "minimum_interval_seconds": sensor.minimum_interval_seconds,
                "default_status": sensor.default_status.value,
            }
            for sensor in repository.sensor_defs
        },
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "timezone": schedule.execution_timezone,
                "default_status": schedule.default_status.value,
            }
            for schedule in repository.schedule_defs
        },
        "resources": sorted(repository.get_top_level_resources()),
    }


def _asset(node: Any) -> dict[str, Any]:
    partitions = node.partitions_def
    return {
        "description": node.description,
        "group": node.group_name,
        "owners": sorted(node.owners),
        "kinds": sorted(node.kinds),
        "depends_on": sorted(key.to_user_string() for key in node.parent_keys),
        "partitions": None if partitions is None else str(partitions),
        "backfill": None
        if node.backfill_policy is None
        else node.backfill_policy.policy_type.value,
    }


def _check(repository: dg.RepositoryDefinition, key: dg.AssetCheckKey) -> dict[str, Any]:
    spec = repository.asset_graph.get_check_spec(key)
    return {"description": spec.description, "blocking": spec.blocking}


def _job(job: dg.JobDefinition) -> dict[str, Any]:
    layer = job.asset_layer
    return {
        "description": job.description,
        "assets": sorted(key.to_user_string() for key in layer.executable_asset_keys),
        "checks": sorted(key.name for key in layer.asset_graph.asset_check_keys),
        "ops": {
            node.name: _retries(node.definition.retry_policy)
            for node in job.graph.nodes
            if isinstance(node.definition, dg.OpDefinition)
        },
        "tags": dict(job.tags),
    }


def _retries(policy: dg.RetryPolicy | None) -> str:
    if policy is None:
        return "no retries"
    pauses = [policy.calculate_delay(attempt) for attempt in range(1, policy.max_retries + 1)]
    return f"retries after {', '.join(f'{pause:g} s' for pause in pauses)}"


if __name__ == "__main__":
    PATH.write_text(json.dumps(snapshot(), indent=2) + "\n")
