"""The whole platform on one machine: database, Dagster and API, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.health import LOOPBACK_OPENER, HealthCheck
from fulfillment_assets.local.ports import LOOPBACK, any_port, free_port
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.local.service import Service
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import dagster_storage_url, normalise_url, shown_url

DAGSTER_PORT: Final = 3000
API_PORT: Final = 8000

_STATE_FILE: Final = "platform.json"
_LOCK_FILE: Final = "platform.lock"
_WATCH_SECONDS: Final = 2.0
_QUERY_SECONDS: Final = 5.0
_DAEMON_QUERY: Final = "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where a running platform is reached; the database without its password."""

    database: str
    dagster: str
    api: str


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of a migrated database: that of `DATABASE_URL`, or of the embedded server.

    The embedded server is stopped at the end if this started it.

    Raises:
        LocalServiceError: the embedded server does not start.
        DatabaseUnavailableError: the server does not answer or is too old.
    """
    if settings.database_url is not None:
        url = normalise_url(settings.database_url.get_secret_value())
        migrate.upgrade(url.render_as_string(hide_password=False))
        yield url.render_as_string(hide_password=False)
        return
    with EmbeddedPostgres(settings.data_dir, settings.postgres_port).running() as server:
        migrate.upgrade(server.url)
        yield server.url


def environment(settings: Settings, database_url: str) -> dict[str, str]:
    """Environment variables with which every process of the platform agrees on where things are.

    Creates Dagster's home in the data directory; its `dagster.yaml` is the project's.
    """
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    _link(home / "dagster.yaml", PROJECT_ROOT / "dagster.yaml")
    storage = settings.dagster_postgres_url
    training_file = settings.training_file
    optional = (
        {} if training_file is None else {"FULFILLMENT_TRAINING_FILE": str(training_file.resolve())}
    )
    return {
        "DATABASE_URL": database_url,
        "DAGSTER_POSTGRES_URL": (
            dagster_storage_url(database_url) if storage is None else storage.get_secret_value()
        ),
        "DAGSTER_HOME": str(home),
        "FULFILLMENT_DATA_DIR": str(settings.data_dir.resolve()),
        "FULFILLMENT_MODELS_DIR": str(settings.models_dir.resolve()),
        "FULFILLMENT_INBOX_DIR": str(settings.inbox.resolve()),
        **optional,
    }


def _link(link: Path, target: Path) -> None:
    """Point a link at a file, at once for every process; the project may have moved."""
    if link.is_symlink() and link.readlink() == target:
        return
    unfinished = link.with_name(f".{link.name}.{os.getpid()}")
    unfinished.symlink_to(target)
    unfinished.replace(link)


def write_env_file(settings: Settings, database_url: str) -> Path:
    """Write `.env` at the project's root, readable by its owner only, and return its path.

    Dagster's own commands read it, so that a plain `dagster dev` finds the database.
    """
    path = PROJECT_ROOT / ".env"
    unfinished = path.with_suffix(".part")
    unfinished.touch(mode=0o600)
    lines = [f"{key}={value}\n" for key, value in environment(settings, database_url).items()]
    unfinished.write_text("".join(lines))
    return unfinished.replace(path)


@contextlib.contextmanager
def running_platform(settings: Settings) -> Iterator[tuple[Supervisor, Urls]]:
    """Everything started and healthy inside the block, nothing left after it.

    Raises:
        LocalServiceError: it is running already, or a part of it does not come up.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _only_one(settings), database(settings) as url:
        variables = environment(settings, url)
        supervisor, urls = _compose(settings, variables)
        with supervisor:
            state = settings.data_dir / _STATE_FILE
            state.write_text(json.dumps(asdict(urls)))
            try:
                yield supervisor, urls
            finally:
                state.unlink(missing_ok=True)


def watch(settings: Settings, supervisor: Supervisor) -> None:
    """Keep the platform up until interrupted: the embedded database too.

    Raises:
        ServiceFailedError: a service crashed too often.
    """
    embedded = settings.database_url is None
    server = EmbeddedPostgres(settings.data_dir, settings.postgres_port)
    while True:
        supervisor.wait(_WATCH_SECONDS)
        if embedded:
            server.start()


def running_urls(settings: Settings) -> Urls | None:
    """Where the platform of this data directory is running, or None if it is not."""
    state = settings.data_dir / _STATE_FILE
    try:
        with FileLock(settings.data_dir / _LOCK_FILE, timeout=0):
            return None
    except (Timeout, FileNotFoundError):
        pass
    try:
        return Urls(**json.loads(state.read_text()))
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    try:
        with FileLock(settings.data_dir / _LOCK_FILE, timeout=0):
            yield
    except Timeout as error:
        raise LocalServiceError(
            f"the platform is running already on {settings.data_dir}; stop it first, or set "
            "FULFILLMENT_DATA_DIR to another folder"
        ) from error


def _compose(settings: Settings, variables: Mapping[str, str]) -> tuple[Supervisor, Urls]:
    code_port = any_port()
    dagster_port = free_port(settings.dagster_port, DAGSTER_PORT, "FULFILLMENT_DAGSTER_PORT")
    api_port = free_port(settings.api_port, API_PORT, "FULFILLMENT_API_PORT")
    urls = Urls(
        database=shown_url(variables["DATABASE_URL"]),
        dagster=f"http://{LOOPBACK}:{dagster_port}",
        api=f"http://{LOOPBACK}:{api_port}",
    )
    workspace = shlex.quote(_write_workspace(settings, code_port))
    services = [
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
            f"dagster._daemon run -w {workspace}",
            _daemon_runs(urls.dagster),
            variables,
            after=("code-server",),
        ),
        _service(
            "api",
            f"uvicorn fulfillment_api.app:create_app --factory --host {LOOPBACK} --port {api_port}",
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
