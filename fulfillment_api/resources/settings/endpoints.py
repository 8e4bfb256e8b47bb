"""Settings, listed and changed; the next batch goes by a change."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Path

from fulfillment_api.dependencies import TheChanges, TheDatabase, ThePrincipal
from fulfillment_api.errors import NotFoundError
from fulfillment_api.fields import Text
from fulfillment_api.pagination import Page, Paged, row_id
from fulfillment_api.resources.settings.repository import read_history
from fulfillment_api.resources.settings.schemas import (
    CHANGE_EXAMPLE,
    EXAMPLE,
    NewValue,
    SettingChange,
    SettingItem,
    SettingList,
)
from fulfillment_api.routing import example, page_example, resource
from fulfillment_assets.store.setting_specs import SETTINGS
from fulfillment_assets.store.settings_table import change_setting, find_setting, list_settings

_HISTORY: Final = "settings"

router = resource("settings")


async def _known(
    name: Annotated[Text, Path(description="Which one.", examples=["severity_critical_above"])],
) -> str:
    if name not in SETTINGS:
        raise NotFoundError(f"There is no setting {name!r}; GET /settings lists them.")
    return name


Name = Annotated[str, Depends(_known)]


@router.get("/settings", responses=example({"settings": [EXAMPLE]}))
def show_settings(database: TheDatabase) -> SettingList:
    """Every setting with its value, its rule, and who changed it last."""
    with database.read() as connection:
        return SettingList(settings=[SettingItem.of(one) for one in list_settings(connection)])


@router.get("/settings/{name}", responses=example(EXAMPLE))
def show_setting(database: TheDatabase, name: Name) -> SettingItem:
    """One setting with its value, its rule, and who changed it last."""
    with database.read() as connection:
        return SettingItem.of(find_setting(connection, name))


@router.get("/settings/{name}/history", responses=example(page_example(CHANGE_EXAMPLE)))
def list_setting_changes(database: TheDatabase, paging: Paged, name: Name) -> Page[SettingChange]:
    """Who changed a setting and when, through the API or otherwise, the latest first."""
    listing = f"{_HISTORY}/{name}"
    after = paging.after(listing, row_id)
    with database.read() as connection:
        found = read_history(connection, name, after=after, limit=paging.limit)
    return paging.page(listing, found)


@router.put("/settings/{name}", responses=example(EXAMPLE))
def set_setting(
    changes: TheChanges,
    principal: ThePrincipal,
    name: Name,
    new: NewValue,
) -> SettingItem:
    """Change a setting; old value, new value and who are kept."""
    with changes.change("settings.set", name, value=new.value) as connection:
        change_setting(connection, name, new.value, changed_by=principal.name)
        return SettingItem.of(find_setting(connection, name))
