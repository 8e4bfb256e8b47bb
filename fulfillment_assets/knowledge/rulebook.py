"""All rules of a knowledge base together, checked against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fulfillment_assets.knowledge import rules
from fulfillment_assets.knowledge.errors import KnowledgeError
from fulfillment_assets.knowledge.files import KnowledgeFile, described, read_files
from fulfillment_assets.knowledge.rules import Block, Rules

_SINGLE: Final[Mapping[str, type[Rules]]] = {
    "shipping": rules.ShippingRules,
    "refund": rules.RefundRules,
    "credit": rules.CreditRules,
    "escalation": rules.EscalationRules,
    "communication": rules.CommunicationRules,
    "carriers": rules.CarriersRules,
}
"""Rules of which there is one set in the whole knowledge base."""

_REPEATED: Final[Mapping[str, tuple[type[Rules], str, str]]] = {
    "warehouse": (rules.WarehouseRules, "warehouses", "block"),
    "template": (rules.TemplateRules, "templates", "name"),
}
"""Rules of which each file may have its own: schema, where they are gathered, by which field."""


class Rulebook(Rules):
    """The rules in force.

    Attributes:
        versions: version of each file that has rules, by its path.
    """

    shipping: rules.ShippingRules
    refund: rules.RefundRules
    credit: rules.CreditRules
    escalation: rules.EscalationRules
    communication: rules.CommunicationRules
    carriers: rules.CarriersRules
    warehouses: Mapping[Block, rules.WarehouseRules]
    templates: Mapping[str, rules.TemplateRules]
    versions: Mapping[str, str]


def load_rules(directory: Path) -> Rulebook:
    """The rules of a knowledge base.

    Raises:
        KnowledgeError: a rule is missing, unknown, given twice, breaks its schema, or
            contradicts another; the message names file and field.
    """
    return rulebook_of(read_files(directory))


def rulebook_of(files: Iterable[KnowledgeFile]) -> Rulebook:
    """The rules of files that are read already; see `load_rules`."""
    gathered: dict[str, Any] = {"warehouses": {}, "templates": {}, "versions": {}}
    origin: dict[str, str] = {}
    for file in files:
        for name, given in file.front.rules.items():
            found = _checked(file.source, name, given)
            place, key = _place(name, found)
            into = gathered if place is None else gathered[place]
            path = ".".join(filter(None, [place, key]))
            if key in into:
                raise KnowledgeError(
                    f"{file.source}: rules.{name}: {path} stands in {origin[path]}, too"
                )
            into[key] = found
            origin[path] = file.source
            gathered["versions"][file.source] = file.front.version
    for name in _SINGLE:
        if name not in gathered:
            raise KnowledgeError(f"no file of the knowledge base has rules.{name}")
    book = Rulebook(**gathered)
    _check_together(book, origin)
    return book


def values_for(file: KnowledgeFile, book: Rulebook) -> dict[str, Any]:
    """What references in the text of a file may lead to."""
    own = {
        name: _checked(file.source, name, given).model_dump()
        for name, given in file.front.rules.items()
        if name in _REPEATED
    }
    return book.model_dump() | own


def _checked(source: str, name: str, given: Any) -> Rules:
    schema = _SINGLE.get(name) or (_REPEATED[name][0] if name in _REPEATED else None)
    if schema is None:
        known = ", ".join([*_SINGLE, *_REPEATED])
        raise KnowledgeError(f"{source}: rules.{name}: there are no such rules; known: {known}")
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        raise KnowledgeError(described(source, f"rules.{name}", error)) from None


def _place(name: str, found: Rules) -> tuple[str | None, str]:
    if name in _SINGLE:
        return None, name
    _, place, key = _REPEATED[name]
    return place, str(getattr(found, key))


def _check_together(book: Rulebook, origin: Mapping[str, str]) -> None:
    for block, warehouse in book.warehouses.items():
        field = f"{origin[f'warehouses.{block}']}: rules.warehouse.transfer_partners"
        for partner in warehouse.transfer_partners:
            other = book.warehouses.get(partner)
            if other is None or partner == block or block not in other.transfer_partners:
                raise KnowledgeError(
                    f"{field}: {partner} must be another block that names {block}, too"
                )
            if not set(warehouse.modes) & set(other.modes):
                raise KnowledgeError(f"{field}: {partner} serves no mode of block {block}")
    served = {carrier.mode for carrier in book.carriers.by_name.values()}
    for mode in book.shipping.mode_changes:
        if mode not in served:
            raise KnowledgeError(
                f"{origin['carriers']}: rules.carriers.by_name: no carrier serves mode {mode}"
            )
    for name in book.communication.messages_despite_opt_out:
        if name not in book.templates:
            raise KnowledgeError(
                f"{origin['communication']}: rules.communication.messages_despite_opt_out: "
                f"there is no template {name!r}"
            )
    for name, template in book.templates.items():
        if template.channel not in book.communication.channels:
            raise KnowledgeError(
                f"{origin[f'templates.{name}']}: rules.template.channel: {template.channel} is "
                "none of rules.communication.channels"
            )
