"""Promotion and rollback: the decisions that move the pointer.

A decision's row and the pointer's update are one transaction, and the update takes effect only
if the champion is still the one that was judged.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.artifacts import read_files
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.polarity import check_label_polarity
from fulfillment_assets.delay_model.registry.champion import (
    Transaction,
    champion_version,
    ensure_champion,
    first_champion,
    replace_champion,
)
from fulfillment_assets.delay_model.registry.decisions import Decision, champions, record
from fulfillment_assets.delay_model.registry.errors import (
    NothingToRollBackToError,
    UnfitModelError,
)
from fulfillment_assets.delay_model.registry.evidence import Verdict
from fulfillment_assets.delay_model.registry.gate import compare
from fulfillment_assets.delay_model.registry.holdout import current_holdout
from fulfillment_assets.delay_model.registry.versions import open_version, read_version


class _Judgement(NamedTuple):
    passed: bool
    reason: str
    verdict: Verdict | None = None


def promote(
    engine: Engine,
    version: str,
    models_dir: Path,
    *,
    force: bool = False,
    reason: str | None = None,
    by: str | None = None,
    transaction: Transaction | None = None,
) -> Decision | None:
    """Make a version the champion if it is better, and record the decision either way.

    A refusal is a result, not an error: the decision's action is `refused`, and its reason says
    why. A model that cannot be loaded, or has its label inverted, is refused even by force.

    Args:
        engine: of the platform's database.
        version: the challenger.
        models_dir: holds the champion of a database without one. If it holds no model either,
            the challenger becomes the first champion.
        force: do without the comparison; needs a reason.
        reason: why; if not given, the outcome of the comparison.
        by: who asked for it; the database's user if not given.
        transaction: in which the decision takes effect; one of its own if not given.

    Returns:
        The decision, or None if the version is the champion already: nothing is to be decided.

    Raises:
        ValueError: it is to be forced without a reason.
        UnknownVersionError: there is no such version, or its files are not kept.
        ChampionChangedError: another decision came first; this one changed nothing.
        ArtifactError, UnfitModelError: there is no champion, and none can be made.
    """
    if force and not (reason and reason.strip()):
        raise ValueError("a promotion by force needs a reason: say why the comparison is skipped")
    with engine.connect() as connection:
        files = read_version(connection, version)
        has_champion = champion_version(connection) is not None
    if not has_champion and not read_files(models_dir).contents:
        first = first_champion(engine, files, by=by, transaction=transaction)
        if first is not None:
            return first
    champion = ensure_champion(engine, models_dir)
    if version == champion:
        return None
    judged = _judge(engine, version, champion, force=force)
    with (transaction or engine.begin)() as connection:
        if judged.passed:
            replace_champion(connection, champion, version)
        return record(
            connection,
            "promoted" if judged.passed else "refused",
            version,
            champion=champion,
            forced=force,
            reason=(reason if judged.passed else None) or judged.reason,
            evidence=judged.verdict,
            by=by,
        )


def rollback(
    engine: Engine,
    *,
    reason: str | None = None,
    by: str | None = None,
    transaction: Transaction | None = None,
) -> Decision:
    """Go back to the version that was champion before the present one was promoted.

    Several in a row go back step by step, to the first champion. See `promote` for the arguments.

    Raises:
        NothingToRollBackToError: there was none before.
        ArtifactError, UnfitModelError: it can no longer score; nothing is changed.
        ChampionChangedError: another decision came first; this one changed nothing.
    """
    with engine.connect() as connection:
        line = champions(connection)
    if len(line) < 2:
        raise NothingToRollBackToError(
            f"There is nothing to roll back to: {line[0]} is the first champion."
            if line
            else "There is nothing to roll back to: there is no champion yet."
        )
    version, champion = line[-2:]
    polarity = check_label_polarity(open_version(engine, version))
    if not polarity.passed:
        raise UnfitModelError(f"There is no way back to {version}. {polarity.message}")
    with (transaction or engine.begin)() as connection:
        replace_champion(connection, champion, version)
        return record(
            connection,
            "rolled_back",
            version,
            champion=champion,
            reason=reason or f"{champion} was taken back",
            by=by,
        )


def _judge(engine: Engine, version: str, champion: str, *, force: bool) -> _Judgement:
    try:
        challenger = open_version(engine, version)
    except ArtifactError as error:
        return _Judgement(False, str(error))
    if force:
        polarity = check_label_polarity(challenger)
        return _Judgement(polarity.passed, polarity.message)
    try:
        holder = open_version(engine, champion)
    except ArtifactError as error:
        return _Judgement(
            False,
            f"It cannot be compared, for the champion cannot be loaded: {error} To replace the "
            "champion all the same, promote by force and give the reason.",
        )
    with engine.connect() as connection:
        holdout = current_holdout(connection)
    verdict = compare(challenger, holder, holdout)
    reason = verdict.summary if verdict.passed else " ".join(verdict.reasons)
    return _Judgement(verdict.passed, reason, verdict)
