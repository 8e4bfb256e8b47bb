"""What the settings' endpoints take and give."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from fulfillment_api.fields import Text
from fulfillment_assets.store.setting_specs import SettingKind
from fulfillment_assets.store.settings_table import Setting

Value = float | int | str
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class SettingItem(BaseModel):
    """A setting."""

    name: str
    value: Value
    default: Value
    kind: SettingKind
    rule: str = Field(description="What a value must be, in words.")
    description: str
    by_hand: bool = Field(description="People may change it; otherwise the platform does.")
    updated_at: dt.datetime
    updated_by: str

    @classmethod
    def of(cls, found: Setting) -> Self:
        """A setting of the database."""
        spec = found.spec
        return cls(
            name=spec.name,
            value=found.value,
            default=spec.default,
            kind=spec.kind,
            rule=spec.rule,
            description=spec.description,
            by_hand=spec.by_hand,
            updated_at=found.updated_at,
            updated_by=found.updated_by,
        )


class SettingList(BaseModel):
    """Every setting."""

    settings: list[SettingItem]


class SettingChange(BaseModel):
    """A change of a setting."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    old_value: Value | None = Field(description="Null where the setting began with the new value.")
    new_value: Value
    changed_at: dt.datetime
    changed_by: str


class NewValue(BaseModel):
    """What a setting shall be."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"value": 0.75}]})

    value: Number | StrictInt | Text


EXAMPLE: Final = {
    "name": "severity_critical_above",
    "value": 0.7,
    "default": 0.7,
    "kind": "number",
    "rule": "a number from 0 to 1",
    "description": "Delay probability above which an order is critical.",
    "by_hand": True,
    "updated_at": "2026-03-01T09:30:00Z",
    "updated_by": "postgres",
}
CHANGE_EXAMPLE: Final = {
    "id": 21,
    "old_value": 0.7,
    "new_value": 0.75,
    "changed_at": "2026-03-10T09:30:00Z",
    "changed_by": "ada",
}
