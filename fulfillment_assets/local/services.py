"""The processes of the platform: what each runs, and when it is ready."""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fulfillment_assets.local.health import LOOPBACK_OPENER, HealthCheck
from fulfillment_assets.local.ports import LOOPBACK, any_port, free_port
from fulfillment_assets.local.service import Service
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import shown_url

DAGSTER_PORT: Final = 3000
API_PORT: Final = 8000

_QUERY_SECONDS: Final = 5.0
_DAEMON_QUERY: Final = "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where a running platform is reached.

    Attributes:
        database: URL of the database, without its password.
        dagster: URL of the Dagster UI.
        api: URL of the REST API.
        kafka: addresses of the Kafka brokers; None where there are none.
        kafka_problem: why there is no Kafka, or why it cannot be used; None where it can.
        chroma: URL of the vector store.
    """

    database: str
    dagster: str
    api: str
    kafka: str | None
    kafka_problem: str | None
    chroma: str


def compose(
    settings: Settings, variables: Mapping[str, str], embedded: Sequence[Service]
) -> tuple[Supervisor, Urls]:
    """A supervisor, not started yet, and where its services will be reached.

    Args:
        settings: with the address of Chroma, and that of Kafka, if there is any.
        variables: environment of every process.
        embedded: those of Kafka and Chroma that are to be started here.

    Raises:
        PortTakenError: another program listens on a port that was asked for.
    """
    code_port = any_port()
    dagster_port = free_port(settings.dagster_port, DAGSTER_PORT, "FULFILLMENT_DAGSTER_PORT")
    api_port = free_port(settings.api_port, API_PORT, "FULFILLMENT_API_PORT")
    urls = Urls(
        database=shown_url(variables["DATABASE_URL"]),
        dagster=f"http://{LOOPBACK}:{dagster_port}",
        api=f"http://{_reached_at(settings.api_host)}:{api_port}",
        kafka=settings.kafka_bootstrap_servers,
        kafka_problem=None,
        chroma=settings.chroma_url or "",
    )
    workspace = shlex.quote(_write_workspace(settings, code_port))
    services = [
        *embedded,
        _service(
            "code-server",
            f"dagster code-server start -h {LOOPBACK} -p {code_port} "
            "-m fulfillment_assets.definitions --location-name fulfillment_assets",
            _listens(code_port),
            variables,
        ),
        _service(
            "dagster-webserver",
            f"dagster_webserver -h {LOOPBACK} -p {dagster_port} -w {workspace}",
            f"{urls.dagster}/server_info",
            variables,
            url=urls.dagster,
            after=("code-server",),
        ),
        _service(
            "dagster-daemon",
            f"fulfillment_assets.daemon run -w {workspace}",
            _daemon_runs(urls.dagster),
            variables,
            after=("code-server",),
        ),
        _service(
            "api",
            "uvicorn fulfillment_api.app:create_app --factory --no-access-log "
            "--timeout-graceful-shutdown 10 "
            f"--host {settings.api_host} --port {api_port}",
            f"{urls.api}/health/ready",
            variables,
            url=urls.api,
        ),
    ]
    return Supervisor(services, settings.data_dir / "logs"), urls


def _service(
    name: str,
    module: str,
    health: HealthCheck | str,
    variables: Mapping[str, str],
    *,
    url: str | None = None,
    after: tuple[str, ...] = (),
) -> Service:
    return Service(
        name,
        [sys.executable, "-m", *shlex.split(module)],
        health,
        url=url,
        env=variables,
        # Not the project's root: Dagster would take another database from its `.env`.
        cwd=Path(variables["FULFILLMENT_DATA_DIR"]),
        after=after,
    )


def _reached_at(host: str) -> str:
    """Where this machine reaches a server that listens on an address."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if address.is_unspecified:
        return LOOPBACK
    return f"[{address}]" if address.version == 6 else str(address)


def _write_workspace(settings: Settings, code_port: int) -> str:
    """A workspace that points at the one code server, which webserver and daemon share."""
    path = settings.data_dir.resolve() / "workspace.yaml"
    server = {"host": LOOPBACK, "port": code_port, "location_name": "fulfillment_assets"}
    path.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
    return str(path)


def _listens(port: int) -> HealthCheck:
    def check() -> str | None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1):
                return None
        except OSError as error:
            return f"nothing listens on port {port}: {error}"

    return check


def _daemon_runs(dagster_url: str) -> HealthCheck:
    """Whether the daemon that runs sensors has sent a heartbeat, as the webserver tells."""

    def check() -> str | None:
        try:
            answer = _graphql(dagster_url, _DAEMON_QUERY)
        except (OSError, ValueError) as error:
            return f"the webserver does not tell yet: {error}"
        daemons = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
        waiting = [d["daemonType"] for d in daemons if d["required"] and not d["healthy"]]
        return f"no heartbeat of {', '.join(waiting)} yet" if waiting else None

    return check


def _graphql(dagster_url: str, query: str) -> Any:
    request = urllib.request.Request(
        f"{dagster_url}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with LOOPBACK_OPENER.open(request, timeout=_QUERY_SECONDS) as response:
        return json.load(response)
