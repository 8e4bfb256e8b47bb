"""The account under which PostgreSQL runs, which may not be root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fulfillment_assets.local.errors import LocalServiceError

_NAMES: Final = ("postgres", "nobody")

# Below a private directory such as /root the account needs leave to pass through, in the order
# of least power; the second one is all that many containers have to give.
_CAPABILITIES: Final = (None, "dac_read_search", "dac_override")

# Keeps the capability in force for access(2), by which PostgreSQL looks for its own programs.
_SECUREBITS: Final = "--securebits=+no_setuid_fixup"

_PROBE: Final = 'cd "$1" && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """Runs commands as an account other than root, and hands files over to it.

    Attributes:
        uid: user id of the account.
        gid: group id of the account.
        prefix: what to put before a command; empty when we are that account ourselves.
    """

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def command(self, *arguments: str | Path) -> list[str]:
        """The arguments as a command that runs under the account."""
        return [*self.prefix, *map(str, arguments)]

    def own(self, path: Path) -> None:
        """Make the account the owner of a file, or of a directory and all below it."""
        if self.prefix:
            os.lchown(path, self.uid, self.gid)
            for directory, directories, files in os.walk(path):
                for name in (*directories, *files):
                    os.lchown(Path(directory, name), self.uid, self.gid)


def server_account(
    owner: int | None, directory: Path, probe: Sequence[str | Path]
) -> ServerAccount:
    """Choose the account: our own, or when we are root, one without privileges.

    Args:
        owner: user id that owns the server's existing data, if there is any.
        directory: an existing directory that the account must be able to enter.
        probe: a command that succeeds if the account can run the server's programs.

    Raises:
        LocalServiceError: we are root and cannot run a program as anybody else.
    """
    if os.geteuid() != 0:
        return ServerAccount(os.geteuid(), os.getegid())
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LocalServiceError(
            "PostgreSQL refuses to run as root, and the program setpriv, which gives root's "
            "privileges up, is not installed. Install it (package util-linux), run as an "
            "ordinary user, or set DATABASE_URL to a PostgreSQL server."
        )
    entry = _password_entry(owner)
    reason = ""
    for capability in _CAPABILITIES:
        account = ServerAccount(
            entry.pw_uid, entry.pw_gid, _prefix(setpriv, entry.pw_uid, entry.pw_gid, capability)
        )
        done = subprocess.run(
            account.command("sh", "-c", _PROBE, "sh", directory, *probe),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return account
        reason = reason or done.stderr.strip()
    raise LocalServiceError(
        f"PostgreSQL refuses to run as root, and as user {entry.pw_name!r} it cannot work in "
        f"{directory} ({reason}). Run as an ordinary user, or set DATABASE_URL to a "
        "PostgreSQL server."
    )


def _password_entry(owner: int | None) -> pwd.struct_passwd:
    if owner:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            raise LocalServiceError(
                f"The PostgreSQL data belongs to user id {owner}, which is not a user of this "
                "system. Create that user, or make an existing one the owner of the data."
            ) from None
    for name in _NAMES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LocalServiceError(
        "PostgreSQL refuses to run as root, and this system has neither a user 'postgres' nor a "
        "user 'nobody'. Create one, run as an ordinary user, or set DATABASE_URL to a "
        "PostgreSQL server."
    )


def _prefix(setpriv: str, uid: int, gid: int, capability: str | None) -> tuple[str, ...]:
    identity = (setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    if capability is None:
        return (*identity, "--")
    granted = f"-all,+{capability}"
    return (*identity, _SECUREBITS, f"--inh-caps={granted}", f"--ambient-caps={granted}", "--")
