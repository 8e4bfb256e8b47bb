"""The platform's tables, in the schema `fulfillment`.

Revision: 0001, the first.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BATCHES = """
CREATE TABLE batch_jobs (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    filename text NOT NULL,
    archive_name text NOT NULL UNIQUE,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    submission integer NOT NULL DEFAULT 1 CHECK (submission > 0),
    path text,
    size_bytes bigint NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    row_count bigint NOT NULL DEFAULT 0,
    accepted_count bigint NOT NULL DEFAULT 0,
    rejected_count bigint NOT NULL DEFAULT 0,
    model_version text,
    error_message text,
    run_id text,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    UNIQUE (sha256, submission),
    CHECK (status <> 'completed' OR row_count = accepted_count + rejected_count)
);
CREATE INDEX batch_jobs_created_at ON batch_jobs (created_at DESC, id DESC);
CREATE INDEX batch_jobs_open ON batch_jobs (status) WHERE status IN ('pending', 'processing');
COMMENT ON COLUMN batch_jobs.path IS
    'Where the file is while it waits or is scored; null once it is archived.';
COMMENT ON COLUMN batch_jobs.archive_name IS
    'Its name in the folders of processed and failed files; unique, so that none is overwritten.';
COMMENT ON COLUMN batch_jobs.submission IS
    'One content is scored once; scoring it again on request makes the next submission.';

CREATE TABLE rejected_records (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL CHECK (source IN ('batch', 'streaming', 'api')),
    batch_job_id uuid REFERENCES batch_jobs (id),
    row_number bigint,
    topic text,
    partition integer,
    "offset" bigint,
    raw json NOT NULL,
    errors jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (batch_job_id, row_number),
    UNIQUE (topic, partition, "offset")
);
COMMENT ON COLUMN rejected_records.raw IS 'The cells as they came; json keeps their order.';
CREATE INDEX rejected_records_created_at ON rejected_records (created_at);
"""

PREDICTIONS = """
CREATE TABLE predictions (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    source text NOT NULL CHECK (source IN ('batch', 'streaming', 'api')),
    batch_job_id uuid,
    row_number bigint,
    topic text,
    partition integer,
    "offset" bigint,
    order_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    order_status text,
    delay_probability double precision NOT NULL
        CHECK (delay_probability >= 0 AND delay_probability <= 1),
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'info', 'none')),
    features_json jsonb NOT NULL,
    reasons jsonb NOT NULL,
    extra jsonb,
    model_version text NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE UNIQUE INDEX predictions_batch_row ON predictions (batch_job_id, row_number, created_at)
    WHERE batch_job_id IS NOT NULL;
CREATE UNIQUE INDEX predictions_message ON predictions (topic, partition, "offset", created_at)
    WHERE topic IS NOT NULL;
CREATE INDEX predictions_order_id ON predictions (order_id);
COMMENT ON COLUMN predictions.created_at IS
    'When the order was received; the same on every retry, so that the unique indexes hold.';

CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    customer_id text,
    order_date timestamptz,
    promised_delivery_date timestamptz,
    ship_date timestamptz,
    delivery_date timestamptz,
    warehouse_block text NOT NULL,
    mode_of_shipment text NOT NULL,
    carrier_name text,
    customer_care_calls integer NOT NULL,
    customer_rating integer NOT NULL,
    prior_purchases integer NOT NULL,
    gender text NOT NULL,
    product_importance text NOT NULL,
    cost_of_product double precision NOT NULL,
    discount_offered double precision NOT NULL,
    weight_in_gms double precision NOT NULL,
    payment_status text,
    order_status text,
    event_time timestamptz NOT NULL,
    prediction_id uuid NOT NULL,
    prediction_created_at timestamptz NOT NULL,
    delay_probability double precision NOT NULL,
    severity text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 90);
COMMENT ON TABLE orders IS 'The latest known state of each order, with its latest prediction.';

CREATE TABLE kpi_rollups (
    bucket timestamptz NOT NULL,
    warehouse_block text NOT NULL,
    mode_of_shipment text NOT NULL,
    product_importance text NOT NULL,
    orders bigint NOT NULL,
    probability_sum numeric(20, 6) NOT NULL,
    critical bigint NOT NULL,
    warning bigint NOT NULL,
    info bigint NOT NULL,
    gap bigint NOT NULL,
    on_time bigint GENERATED ALWAYS AS (orders - critical - warning) VIRTUAL,
    high_risk bigint GENERATED ALWAYS AS (critical) VIRTUAL,
    PRIMARY KEY (bucket, warehouse_block, mode_of_shipment, product_importance)
) WITH (fillfactor = 70);
COMMENT ON TABLE kpi_rollups IS
    'Hourly counts of orders by segment, each order counted once, by its latest prediction.';
"""

DEVIATIONS = """
CREATE TABLE deviations (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    prediction_id uuid,
    batch_job_id uuid,
    order_id text COLLATE "C",
    kind text NOT NULL
        CHECK (kind IN ('delay_risk', 'fulfillment_gap', 'segment_risk', 'on_time_rate')),
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    reason text NOT NULL,
    context jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'agent_triggered', 'resolved', 'escalated', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (kind NOT IN ('delay_risk', 'fulfillment_gap')
           OR (order_id IS NOT NULL AND prediction_id IS NOT NULL))
);
CREATE UNIQUE INDEX deviations_open_order ON deviations (order_id, kind)
    WHERE status IN ('pending', 'agent_triggered');
CREATE INDEX deviations_waiting ON deviations (id)
    WHERE status = 'pending' AND severity = 'critical';
CREATE INDEX deviations_batch_job_id ON deviations (batch_job_id);

CREATE TABLE agent_responses (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    deviation_id uuid NOT NULL REFERENCES deviations (id),
    agent_type text NOT NULL
        CHECK (agent_type IN ('shipment', 'customer', 'payment', 'escalation', 'orchestrator')),
    action text NOT NULL,
    details_json jsonb NOT NULL,
    conversation_history jsonb NOT NULL,
    model text NOT NULL,
    usage jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (deviation_id, agent_type)
);

CREATE TABLE tool_actions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    idempotency_key text NOT NULL UNIQUE,
    deviation_id uuid NOT NULL REFERENCES deviations (id),
    order_id text COLLATE "C",
    tool text NOT NULL,
    arguments jsonb NOT NULL,
    result jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;

CREATE TABLE stream_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);
"""

KNOWLEDGE_AND_SETTINGS = """
CREATE TABLE knowledge_documents (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    source text NOT NULL,
    category text NOT NULL,
    agent_type text,
    content text NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source, sha256)
);

CREATE TABLE model_versions (
    version text PRIMARY KEY,
    artifact_sha256 text NOT NULL,
    metrics jsonb NOT NULL,
    training_data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE settings (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    description text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL DEFAULT current_user
);

CREATE TABLE settings_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    old_value jsonb,
    new_value jsonb,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text NOT NULL
);

CREATE FUNCTION record_setting_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.value = OLD.value THEN
        RETURN NULL;
    END IF;
    INSERT INTO settings_audit (key, old_value, new_value, changed_by)
    VALUES (coalesce(NEW.key, OLD.key), OLD.value, NEW.value,
            coalesce(NEW.updated_by, current_user));
    RETURN NULL;
END $$;
CREATE TRIGGER settings_audited AFTER INSERT OR UPDATE OR DELETE ON settings
    FOR EACH ROW EXECUTE FUNCTION record_setting_change();

INSERT INTO settings (key, value, description) VALUES
    ('severity_critical_above', '0.7', 'Delay probability above which an order is critical.'),
    ('severity_warning_above', '0.5',
     'Delay probability above which an order is a warning, and not expected on time.'),
    ('severity_info_above', '0.3', 'Delay probability above which an order is worth a note.'),
    ('deviation_min_severity', '"warning"', 'Least severity at which an order is a deviation.'),
    ('kpi_window_days', '30', 'Length of the rolling KPI window, in days.'),
    ('history_starts_at', '"2000-01-01T00:00:00+00:00"',
     'Events before this moment are no longer counted; moved on by retention.');
"""

TABLES = (
    "settings_audit",
    "settings",
    "model_versions",
    "knowledge_documents",
    "stream_offsets",
    "outbox",
    "tool_actions",
    "agent_responses",
    "deviations",
    "kpi_rollups",
    "orders",
    "predictions",
    "rejected_records",
    "batch_jobs",
)


def upgrade() -> None:
    for statements in (BATCHES, PREDICTIONS, DEVIATIONS, KNOWLEDGE_AND_SETTINGS):
        op.execute(statements)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION record_setting_change()")
