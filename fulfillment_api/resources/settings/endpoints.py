"""Settings, listed and changed; the next batch goes by a change."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from fulfillment_api.dependencies import TheChanges, TheDatabase, ThePrincipal
from fulfillment_api.errors import NotFoundError
from fulfillment_api.fields import Text
from fulfillment_api.resources.settings.schemas import EXAMPLE, NewValue, SettingItem, SettingList
from fulfillment_api.routing import example, resource
from fulfillment_assets.store.setting_specs import SETTINGS
from fulfillment_assets.store.settings_table import change_setting, find_setting, list_settings

router = resource("settings")


@router.get("/settings", responses=example({"settings": [EXAMPLE]}))
def show_settings(database: TheDatabase) -> SettingList:
    """Every setting with its value, its rule, and who changed it last."""
    with database.read() as connection:
        return SettingList(settings=[SettingItem.of(one) for one in list_settings(connection)])


@router.put("/settings/{name}", responses=example(EXAMPLE))
def set_setting(
    changes: TheChanges,
    principal: ThePrincipal,
    name: Annotated[Text, Path(description="Which one.", examples=["severity_critical_above"])],
    new: NewValue,
) -> SettingItem:
    """Change a setting; old value, new value and who are kept."""
    if name not in SETTINGS:
        raise NotFoundError(f"There is no setting {name!r}; GET /settings lists them.")
    with changes.change("settings.set", name, value=new.value) as connection:
        change_setting(connection, name, new.value, changed_by=principal.name)
        return SettingItem.of(find_setting(connection, name))
