"""Logging in, on a real broker that asks for passwords and certificates."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import UserScramCredentialUpsertion  # type: ignore[import-untyped]
from pydantic import SecretStr

from fulfillment_assets.events import client
from fulfillment_assets.events.client import KafkaUnavailableError
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.local.ports import any_port, free_port
from fulfillment_assets.settings import Settings
from tests.events.broker import private_broker

PASSWORD = "correct horse"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

if shutil.which("openssl") is None:
    pytest.skip("no openssl, which makes the certificates", allow_module_level=True)


@dataclass(frozen=True)
class GuardedBroker:
    """A broker with two more doors, and the certificates for the second one."""

    sasl: str
    sasl_ssl: str
    certificates: Path

    def settings(self, **changes: Any) -> Settings:
        login: dict[str, Any] = {
            "kafka_bootstrap_servers": self.sasl,
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "SCRAM-SHA-256",
            "kafka_sasl_username": "alice",
            "kafka_sasl_password": SecretStr(PASSWORD),
        }
        return Settings(**(login | changes))

    def encrypted(self, **changes: Any) -> Settings:
        tls = {
            "kafka_bootstrap_servers": self.sasl_ssl,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_ssl_cafile": self.certificates / "broker.pem",
            "kafka_ssl_certfile": self.certificates / "client.pem",
        }
        return self.settings(**(tls | changes))


@pytest.fixture(scope="module")
def guarded(
    kafka_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuardedBroker]:
    folder = tmp_path_factory.mktemp("guarded")
    for name in ("broker", "client", "stranger"):
        make_certificate(folder / f"{name}.pem")
    ports = [any_port()]
    while len(ports) < 4:
        ports.append(free_port(None, ports[-1] + 1, ""))
    extra = properties(ports, folder)
    with private_broker(kafka_template, folder / "data", ports[0], extra) as broker:
        with client.admin(broker.settings) as admin:
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                user = UserScramCredentialUpsertion("alice", mechanism, PASSWORD)
                assert admin.alter_user_scram_credentials([user]) == {"alice": None}
        yield GuardedBroker(f"127.0.0.1:{ports[2]}", f"127.0.0.1:{ports[3]}", folder)


def properties(ports: list[int], certificates: Path) -> dict[str, str]:
    names = ("PLAINTEXT", "CONTROLLER", "SASL_PLAINTEXT", "SASL_SSL")
    listeners = [f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)]
    security = "org.apache.kafka.common.security"
    logins = {
        f"listener.name.{name}.{mechanism.lower()}.sasl.jaas.config": f"{security}.{module};"
        for name in ("sasl_plaintext", "sasl_ssl")
        for mechanism, module in {
            "PLAIN": f'plain.PlainLoginModule required user_alice="{PASSWORD}"',
            "SCRAM-SHA-256": "scram.ScramLoginModule required",
            "SCRAM-SHA-512": "scram.ScramLoginModule required",
        }.items()
    }
    return {
        "listeners": ",".join(listeners),
        "controller.quorum.voters": f"1@127.0.0.1:{ports[1]}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"
        ),
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "client.pem"),
        "listener.name.sasl_ssl.ssl.client.auth": "required",
        **logins,
    }


def make_certificate(path: Path) -> None:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
    key, certificate = path.with_suffix(".key"), path.with_suffix(".crt")
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *extension, *files], check=True, capture_output=True)
    path.write_text(key.read_text() + certificate.read_text())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_logs_in(guarded: GuardedBroker, mechanism: str) -> None:
    settings = guarded.settings(kafka_sasl_mechanism=mechanism)
    ensure_topics(settings)
    with client.admin(settings) as admin:
        assert settings.events_topic in admin.list_topics()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_an_error_that_names_user_and_mechanism(
    guarded: GuardedBroker, mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 1.0)
    settings = guarded.settings(
        kafka_sasl_mechanism=mechanism, kafka_sasl_password=SecretStr("battery staple")
    )
    with pytest.raises(KafkaUnavailableError, match=f"user 'alice' with {mechanism}") as refused:
        client.admin(settings)
    assert "battery staple" not in str(refused.value)


def test_login_and_certificates_work_together(guarded: GuardedBroker) -> None:
    ensure_topics(guarded.encrypted())
    with client.producer(guarded.encrypted()) as producer:
        sent = producer.send("fulfillment-events", value=b"1").get(timeout=10)
    assert sent.topic == "fulfillment-events"


def test_a_key_may_lie_in_a_file_of_its_own(guarded: GuardedBroker) -> None:
    folder = guarded.certificates
    settings = guarded.encrypted(
        kafka_ssl_certfile=folder / "client.crt", kafka_ssl_keyfile=folder / "client.key"
    )
    client.admin(settings).close()


def test_a_broker_whose_certificate_is_not_trusted_is_refused(guarded: GuardedBroker) -> None:
    settings = guarded.encrypted(kafka_ssl_cafile=guarded.certificates / "stranger.pem")
    with pytest.raises(KafkaUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        client.admin(settings)


def test_a_broker_of_another_name_is_refused(guarded: GuardedBroker) -> None:
    servers = guarded.sasl_ssl.replace("127.0.0.1", "localhost")
    with pytest.raises(KafkaUnavailableError, match="not valid for 'localhost'"):
        client.admin(guarded.encrypted(kafka_bootstrap_servers=servers))


@pytest.mark.parametrize("certificate", ["stranger.pem", None])
def test_a_client_without_the_right_certificate_is_refused(
    guarded: GuardedBroker, certificate: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 1.0)
    shown = guarded.certificates / certificate if certificate else None
    with pytest.raises(KafkaUnavailableError, match="KAFKA_SECURITY_PROTOCOL"):
        client.admin(guarded.encrypted(kafka_ssl_certfile=shown))


def test_the_wrong_protocol_is_an_error_that_names_the_setting(
    guarded: GuardedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 1.0)
    settings = guarded.settings(kafka_security_protocol="PLAINTEXT")
    with pytest.raises(KafkaUnavailableError, match=r"KAFKA_SECURITY_PROTOCOL \(PLAINTEXT\)"):
        client.admin(settings)
