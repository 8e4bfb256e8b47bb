"""The embedded Chroma: one for everybody on a directory, its data kept, and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from fulfillment_assets.local import platform
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.local.errors import DataDirectoryError, LocalServiceError, PortTakenError
from fulfillment_assets.local.health import LOOPBACK_OPENER
from fulfillment_assets.local.platform import environment, running_platform, vector_store
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.processes import wait_until
from fulfillment_assets.local.service import Service, State
from fulfillment_assets.local.services import Urls, compose
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.settings import Settings


def call(url: str, path: str, body: object = None) -> object:
    request = urllib.request.Request(
        f"{url}/api/v2{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with LOOPBACK_OPENER.open(request, timeout=5) as response:
        return json.load(response)


COLLECTIONS = "/tenants/default_tenant/databases/default_database/collections"


def server(data_dir: Path) -> EmbeddedChroma:
    return EmbeddedChroma(data_dir, any_port())


class TestOneServer:
    def test_runs_for_the_length_of_a_block_on_loopback_only(self, tmp_path: Path) -> None:
        chroma = server(tmp_path)
        with chroma.running():
            assert call(chroma.url, "/heartbeat")
            process = chroma.process()
            assert process is not None
            addresses = {one.laddr.ip for one in process.net_connections("tcp")}
            assert addresses == {"127.0.0.1"}
        assert not chroma.is_running()
        with pytest.raises(LocalServiceError, match="No Chroma server is running"):
            _ = chroma.url

    def test_serves_everybody_on_its_directory(self, tmp_path: Path) -> None:
        with server(tmp_path).running() as first, EmbeddedChroma(tmp_path).running() as second:
            assert second.url == first.url
            assert second.process() == first.process()
            assert second.start() is False
        assert not EmbeddedChroma(tmp_path).is_running()

    def test_is_not_stopped_by_who_came_later(self, tmp_path: Path) -> None:
        with server(tmp_path).running() as first:
            with EmbeddedChroma(tmp_path).running():
                pass
            assert call(first.url, "/heartbeat")

    def test_is_started_once_by_several_processes(
        self, tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
    ) -> None:
        program = (
            "import sys; from pathlib import Path\n"
            "from fulfillment_assets.local.chroma import EmbeddedChroma\n"
            "print(EmbeddedChroma(Path(sys.argv[1]), int(sys.argv[2])).start())"
        )
        port = any_port()
        children = [start_python(program, tmp_path, port) for _ in range(3)]
        try:
            printed = [child.communicate(timeout=60)[0].strip() for child in children]
            assert sorted(printed) == ["False", "False", "True"]
        finally:
            EmbeddedChroma(tmp_path).stop()

    def test_keeps_its_data_and_its_port_when_it_is_killed(self, tmp_path: Path) -> None:
        chroma = server(tmp_path)
        with chroma.running():
            url, process = chroma.url, chroma.process()
            call(url, COLLECTIONS, {"name": "kept"})
            assert process is not None
            process.kill()
            process.wait()
            assert not chroma.is_running()
            EmbeddedChroma(tmp_path).start()
            assert chroma.url == url
            found = call(url, COLLECTIONS)
            assert isinstance(found, list)
            assert [one["name"] for one in found] == ["kept"]
            EmbeddedChroma(tmp_path).stop()

    def test_writes_no_line_for_a_request(self, tmp_path: Path) -> None:
        with server(tmp_path).running() as chroma:
            before = chroma.log_path.stat().st_size
            for _ in range(20):
                call(chroma.url, "/heartbeat")
                call(chroma.url, COLLECTIONS)
            assert chroma.log_path.stat().st_size == before


class TestWhatGoesWrong:
    def test_a_port_that_is_taken_is_told(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            chroma = EmbeddedChroma(tmp_path, listener.getsockname()[1])
            with pytest.raises(PortTakenError, match="FULFILLMENT_CHROMA_PORT"):
                chroma.start()

    def test_another_port_than_that_of_the_running_one_is_told(self, tmp_path: Path) -> None:
        with server(tmp_path).running(), pytest.raises(LocalServiceError, match="already running"):
            server(tmp_path).start()

    def test_damaged_data_are_told_with_the_log(self, tmp_path: Path) -> None:
        (tmp_path / "chroma").mkdir()
        (tmp_path / "chroma" / "chroma.sqlite3").write_text("no database" * 500)
        with pytest.raises(LocalServiceError, match=r"did not start. Last lines of .*chroma\.log"):
            server(tmp_path).start()
        assert not EmbeddedChroma(tmp_path).is_running()

    def test_a_directory_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "chroma").write_text("a file")
        with pytest.raises(LocalServiceError, match="Set FULFILLMENT_DATA_DIR"):
            server(tmp_path).start()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_another_user_s_data_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "chroma").mkdir()
        os.chown(tmp_path / "chroma", 12345, 12345)
        with pytest.raises(DataDirectoryError, match="belongs to user id 12345"):
            server(tmp_path).start()


class TestUnderASupervisor:
    def test_it_is_started_again_on_the_same_port(self, tmp_path: Path) -> None:
        chroma = server(tmp_path)
        with contextlib.ExitStack() as starting:
            service = starting.enter_context(chroma.supervised())
            with Supervisor([service], tmp_path / "logs") as supervisor:
                starting.close()
                url, process = chroma.url, chroma.process()
                assert service.url == url
                assert process is not None
                process.kill()
                (first,) = supervisor.status()
                assert wait_until(
                    lambda: (
                        supervisor.status()[0].restarts == first.restarts + 1
                        and supervisor.status()[0].state is State.HEALTHY
                    ),
                    30,
                )
                assert chroma.url == url
                assert call(url, "/heartbeat")
        assert not chroma.is_running()

    def test_it_takes_the_place_of_one_that_a_command_started(self, tmp_path: Path) -> None:
        with server(tmp_path).running() as former, contextlib.ExitStack() as starting:
            url = former.url
            service = starting.enter_context(EmbeddedChroma(tmp_path).supervised())
            with Supervisor([service], tmp_path / "logs"):
                starting.close()
                assert service.url == url
                assert call(url, "/heartbeat")


class TestThePlatform:
    @pytest.fixture
    def settings(
        self, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Settings:
        """Settings for a platform of nothing but Chroma."""

        def only_chroma(
            settings: Settings, variables: Mapping[str, str], embedded: Sequence[Service]
        ) -> tuple[Supervisor, Urls]:
            assert variables["CHROMA_URL"] == settings.chroma_url
            _, urls = compose(settings, variables, embedded)
            chroma = [service for service in embedded if service.name == "chroma"]
            return Supervisor(chroma, settings.data_dir / "logs"), urls

        monkeypatch.setattr(platform, "compose", only_chroma)
        return Settings(
            database_url=empty_database_url,
            data_dir=tmp_path / "data",
            chroma_port=any_port(),
            kafka_bootstrap_servers="127.0.0.1:1",
        )

    def test_starts_one_and_its_commands_find_it(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(platform, "_topics_problem", lambda _: "no broker here")
        with running_platform(settings) as (supervisor, urls):
            assert [service.name for service in supervisor.status()] == ["chroma"]
            with vector_store(settings.model_copy(update={"chroma_port": None})) as found:
                assert found.chroma_url == urls.chroma
                assert call(urls.chroma, "/heartbeat")
        assert not EmbeddedChroma(settings.data_dir).is_running()

    def test_uses_the_one_of_the_settings_and_starts_none(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(platform, "_topics_problem", lambda _: "no broker here")
        mine = settings.model_copy(update={"chroma_url": "http://vectors:8000"})
        with running_platform(mine) as (supervisor, urls):
            assert supervisor.status() == []
            assert urls.chroma == "http://vectors:8000"
            with vector_store(mine) as found:
                assert found.chroma_url == "http://vectors:8000"

    def test_a_command_without_one_has_one_for_as_long_as_it_runs(self, settings: Settings) -> None:
        with vector_store(settings) as found:
            assert found.chroma_url is not None
            assert call(found.chroma_url, "/heartbeat")
        assert not EmbeddedChroma(settings.data_dir).is_running()

    def test_every_process_gets_the_address_and_the_knowledge_base(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        changes = {"chroma_url": "http://vectors:8000", "knowledge_dir": Path("rules")}
        variables = environment(settings.model_copy(update=changes), "postgresql://x/y")
        assert variables["CHROMA_URL"] == "http://vectors:8000"
        assert variables["FULFILLMENT_KNOWLEDGE_DIR"] == str(tmp_path / "rules")
