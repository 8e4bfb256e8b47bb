"""Settings, read from the environment.

Every variable stands in the README's table, which a test holds against this class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where things are and how the platform behaves. Thresholds live in the `settings` table."""

    model_config = SettingsConfigDict(env_prefix="FULFILLMENT_", populate_by_name=True)

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL 18 or newer. Unset: an embedded server in the data directory.",
    )
    dagster_postgres_url: SecretStr | None = Field(
        default=None,
        validation_alias="DAGSTER_POSTGRES_URL",
        description="Dagster's own storage. Unset: schema `dagster` of the same database.",
    )
    kafka_bootstrap_servers: str | None = Field(
        default=None,
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Kafka, as host:port,host:port. Unset: an embedded broker, if there is Java.",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.",
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN",
        validation_alias="KAFKA_SASL_MECHANISM",
        description="How to log in with `SASL_…`: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.",
    )
    kafka_sasl_username: str | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_USERNAME",
        description="Who logs in with `SASL_…`.",
    )
    kafka_sasl_password: SecretStr | None = Field(
        default=None, validation_alias="KAFKA_SASL_PASSWORD", description="Its password."
    )
    kafka_ssl_cafile: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CAFILE",
        description="Certificate authority of the brokers, PEM. Unset: those of the system.",
    )
    kafka_ssl_certfile: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CERTFILE",
        description="Certificate of this client, PEM, for brokers that ask for one.",
    )
    kafka_ssl_keyfile: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_KEYFILE",
        description="Its private key, PEM. Unset: in the same file.",
    )
    chroma_url: str | None = Field(
        default=None,
        validation_alias="CHROMA_URL",
        description="Chroma, the vector store, as http://host:port. Unset: an embedded server.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="Key of OpenAI, or of a server that speaks its protocol. Unset: none is asked.",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        description="Where that server is. Unset: OpenAI itself.",
    )
    data_dir: Path = Field(
        default=PROJECT_ROOT / "data",
        description="Where the embedded services and the drop folder keep their files.",
    )
    models_dir: Path = Field(
        default=PROJECT_ROOT / "models",
        description="The model that ships: the first champion of a fresh database.",
    )
    knowledge_dir: Path = Field(
        default=PROJECT_ROOT / "knowledge_base",
        description="The company's policies, agreements and templates, with their rules.",
    )
    knowledge_embedder: Literal["openai", "minilm", "lexical"] | None = Field(
        default=None,
        description="What makes the vectors of the knowledge base: `openai`, `minilm` (downloads "
        "a model once) or `lexical`. Unset: `openai` with a key, else `lexical`.",
    )
    knowledge_embedding_model: str = Field(
        default="text-embedding-3-small",
        description="The model that the embedder `openai` asks for.",
    )
    agent_model: str = Field(
        default="gpt-4o-mini",
        description="The chat model of the agents, where there is a key; without one the offline "
        "policy model decides.",
    )
    agent_timeout_seconds: float = Field(
        default=30.0, gt=0, description="How long the agents wait for one answer of that model."
    )
    agent_max_retries: int = Field(
        default=3,
        ge=0,
        description="How often a call of it that failed is tried again, with back-off.",
    )
    agent_streaming: bool = Field(
        default=False,
        description="Let it stream its answers, as some gateways demand.",
    )
    agent_fallback: Literal["policy", "escalate"] = Field(
        default="policy",
        description="What happens when it fails for good: the offline `policy` model goes on, or "
        "the case is handed to a person (`escalate`).",
    )
    agent_prices: dict[str, tuple[float, float]] = Field(
        default={},
        description="US dollars for a million input and output tokens of a model whose price is "
        'not known, or has changed, in JSON: `{"name": [0.15, 0.6]}`.',
    )
    training_file: Path | None = Field(
        default=None,
        description="Orders with known outcomes to train on while your own are too few.",
    )
    inbox_dir: Path | None = Field(
        default=None, description="The watched drop folder. Unset: `inbox/` in the data directory."
    )
    inbox_settle_seconds: float = Field(
        default=2.0, gt=0, description="How long a dropped file must stay unchanged to be taken."
    )
    max_file_bytes: int = Field(
        default=4 * 1024**3, gt=0, description="Largest accepted file, in bytes as dropped."
    )
    log_format: Literal["json", "console"] | None = Field(
        default=None,
        description="Log lines on standard error: `json`, or `console` for people. Unset: "
        "`console` on a terminal, else `json`.",
    )
    postgres_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the embedded PostgreSQL. Unset: 15432, or the next free port.",
    )
    kafka_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the embedded Kafka. Unset: 19092, or the next free port.",
    )
    chroma_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the embedded Chroma. Unset: 18001, or the next free port.",
    )
    dagster_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the Dagster UI. Unset: 3000, or the next free port.",
    )
    api_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the REST API. Unset: 8000, or the next free port.",
    )
    api_host: str = Field(
        default="127.0.0.1",
        description="Address on which the REST API listens. Beyond loopback it starts only if "
        "there is an API key (`fulfillment keys create`).",
    )
    api_cors_origins: list[str] = Field(
        default=[],
        description="Origins whose pages may use the REST API from a browser, in JSON: "
        '`["https://shop.example"]`.',
    )
    api_rate_per_key: float = Field(
        default=2_000.0,
        gt=0,
        description="Requests a second that one API key may send; as many may come at once.",
    )
    api_rate_per_address: float = Field(
        default=2_000.0,
        gt=0,
        description="Requests a second that may come from one address, whatever the key.",
    )
    retention_days: int = Field(
        default=90, ge=1, description="Days for which predictions are kept; older ones are dropped."
    )
    events_topic: str = Field(
        default="fulfillment-events", description="Kafka topic from which orders are scored."
    )
    events_partitions: int = Field(
        default=6,
        ge=1,
        description="Partitions with which topics of events and deviations are created.",
    )
    deviations_topic: str = Field(
        default="deviation-events", description="Kafka topic to which deviations are announced."
    )
    dlq_topic: str = Field(
        default="fulfillment-events-dlq",
        description="Kafka topic of the messages that could not be scored.",
    )
    stream_flush_messages: int = Field(
        default=1_000, ge=1, description="So many waiting messages of a partition start a run."
    )
    stream_flush_seconds: float = Field(
        default=15.0, gt=0, description="A message that has waited so long starts a run, too."
    )
    stream_max_range: int = Field(
        default=20_000, ge=1, description="Largest number of messages that one run takes."
    )

    @property
    def training_dir(self) -> Path:
        """Where gathered training data wait for the classifier."""
        return self.data_dir / "training"

    @property
    def inbox(self) -> Path:
        """The watched drop folder."""
        return self.inbox_dir or self.data_dir / "inbox"

    @property
    def uploads(self) -> Path:
        """Where files are that are still being handed in through the REST API."""
        return self.inbox.parent / "uploads"

    @property
    def processed(self) -> Path:
        """Where scored files and their `.rejected.csv` end up."""
        return self.inbox.parent / "processed"

    @property
    def failed(self) -> Path:
        """Where files end up that could not be read at all."""
        return self.inbox.parent / "failed"

    @property
    def claimed(self) -> Path:
        """Where a file waits, out of the inbox, while its run scores it."""
        return self.inbox.parent / "claimed"
