"""What an endpoint may ask for. None of it does any work: the endpoint does, in its thread."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from fulfillment_api.audit import Changes
from fulfillment_api.database import Database
from fulfillment_api.security.guard import PRINCIPAL
from fulfillment_api.security.keyring import Principal
from fulfillment_api.services import Services, services_of
from fulfillment_assets.settings import Settings


async def _services(connection: HTTPConnection) -> Services:
    return services_of(connection.app)


async def _database(connection: HTTPConnection) -> Database:
    return services_of(connection.app).database


async def _settings(connection: HTTPConnection) -> Settings:
    return services_of(connection.app).settings


async def _principal(connection: HTTPConnection) -> Principal:
    principal: Principal = connection.scope[PRINCIPAL]
    return principal


async def _changes(connection: HTTPConnection) -> Changes:
    return Changes(services_of(connection.app).database, connection.scope[PRINCIPAL])


TheServices = Annotated[Services, Depends(_services)]
"""Everything that the application shares."""

TheDatabase = Annotated[Database, Depends(_database)]
"""Connections: `with database.read() as connection:`."""

TheSettings = Annotated[Settings, Depends(_settings)]
"""Where things are, and how the platform behaves."""

ThePrincipal = Annotated[Principal, Depends(_principal)]
"""Who asks."""

TheChanges = Annotated[Changes, Depends(_changes)]
"""Changes with their audit: `with changes.change("settings.set", name) as connection:`."""
