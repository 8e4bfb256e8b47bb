"""The known models, which of them scores, and changes of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import Body, Path

from fulfillment_api.dependencies import TheChanges, TheDatabase, ThePrincipal, TheServices
from fulfillment_api.errors import ConflictError, NotFoundError
from fulfillment_api.fields import Text
from fulfillment_api.resources.models.schemas import (
    CARD_EXAMPLE,
    DECIDED_EXAMPLE,
    VERSION_EXAMPLE,
    ChangeReason,
    Decided,
    ModelCard,
    Models,
    Promote,
)
from fulfillment_api.routing import conflict, example, resource
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.registry import promotion
from fulfillment_assets.delay_model.registry.decisions import decisions
from fulfillment_assets.delay_model.registry.errors import UnknownVersionError
from fulfillment_assets.delay_model.registry.versions import versions

_HOW_TO_FORCE: Final = 'To skip the comparison, send {"force": true, "reason": "..."}.'

Version = Annotated[
    Text, Path(description="As GET /models lists it.", examples=["lgbm-a598de0a3c2d"])
]

router = resource("models")


@router.get(
    "/models",
    responses=example({"champion": VERSION_EXAMPLE["version"], "models": [VERSION_EXAMPLE]}),
)
def list_models(database: TheDatabase) -> Models:
    """The known versions with their figures, and the champion among them."""
    with database.read() as connection:
        found = versions(connection)
    champion = next((one.version for one in found if one.is_champion), None)
    return Models(champion=champion, models=found)


@router.get("/models/{version}", responses=example(CARD_EXAMPLE))
def show_model(services: TheServices, version: Version) -> ModelCard:
    """A version's card: where its data came from, how good it is, what was decided about it."""
    with services.database.read() as connection:
        known = next((one for one in versions(connection) if one.version == version), None)
        if known is None:
            raise NotFoundError(f"There is no model {version!r}; GET /models lists them.")
        metadata = services.model_cards.of(connection, version)
        about = [one for one in decisions(connection) if version in (one.version, one.champion)]
    if metadata is None:
        raise NotFoundError(f"The files of the model {version} are not kept.")
    return ModelCard.of(known, metadata, about)


@router.post(
    "/models/{version}/promote",
    responses={
        **example(DECIDED_EXAMPLE),
        **conflict("It is not better than the champion, or cannot score; the detail says why."),
    },
)
def promote_model(
    services: TheServices,
    changes: TheChanges,
    principal: ThePrincipal,
    version: Version,
    wanted: Annotated[Promote | None, Body()] = None,
) -> Decided:
    """Make a version the champion if it is better than the present one.

    Both are compared on orders that neither learnt from. A refusal is recorded, too. A model that
    cannot be loaded, or has its label inverted, is refused even by force. Predictions go over to
    the new champion within seconds.
    """
    asked = wanted or Promote()
    with _conflicts():
        decision = promotion.promote(
            services.database.engine,
            version,
            services.settings.models_dir,
            force=asked.force,
            reason=asked.reason,
            by=principal.name,
            transaction=lambda: changes.change(
                "models.promote", version, **asked.model_dump(exclude_none=True)
            ),
        )
    if decision is not None and decision.action == "refused":
        hint = "" if asked.force else f" {_HOW_TO_FORCE}"
        raise ConflictError(f"{decision.reason}{hint}")
    return Decided(champion=version, decision=decision)


@router.post(
    "/models/rollback",
    responses={**example(DECIDED_EXAMPLE), **conflict("There is nothing to go back to.")},
)
def roll_back_model(
    services: TheServices,
    changes: TheChanges,
    principal: ThePrincipal,
    wanted: Annotated[ChangeReason | None, Body()] = None,
) -> Decided:
    """Go back to the version that was champion before the present one was promoted."""
    asked = wanted or ChangeReason()
    with _conflicts():
        decision = promotion.rollback(
            services.database.engine,
            reason=asked.reason,
            by=principal.name,
            transaction=lambda: changes.change(
                "models.rollback", "champion", **asked.model_dump(exclude_none=True)
            ),
        )
    return Decided(champion=decision.version, decision=decision)


@contextmanager
def _conflicts() -> Iterator[None]:
    """What the registry refuses, whose text is written for the user."""
    try:
        yield
    except UnknownVersionError as error:
        raise NotFoundError(str(error)) from error
    except DelayModelError as error:
        raise ConflictError(str(error)) from error
