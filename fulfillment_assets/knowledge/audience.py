"""For whom and for what a document, or one section of it, is meant."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict

from fulfillment_assets.knowledge.rules import Block, Mode, Rules, Severity, Specialist


def _specialists(value: Any) -> Any:
    if value == "all":
        return None
    if value in ([], ()):
        raise ValueError("name a specialist, or write `all`")
    return (value,) if isinstance(value, str) else value


class Audience(Rules):
    """What a search may be narrowed to; None fits every search.

    Attributes:
        agent_type: the specialists who work by it; written as one, a list, or `all`.
        severity: of the deviations that it is about.
        warehouse: the block that it is about.
        mode: the mode of shipment that it is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    agent_type: Annotated[tuple[Specialist, ...] | None, BeforeValidator(_specialists)] = None
    severity: Severity | None = None
    warehouse: Block | None = None
    mode: Mode | None = None


EVERYBODY: Final = Audience()
"""Every agent, in every case."""
