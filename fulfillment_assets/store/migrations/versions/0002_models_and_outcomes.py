"""Model versions with their files, the champion among them, and how predictions turned out.

Revision: 0002.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MODELS = """
ALTER TABLE model_versions ADD COLUMN last_trained_at timestamptz NOT NULL DEFAULT now();
UPDATE model_versions SET last_trained_at = created_at;
COMMENT ON COLUMN model_versions.last_trained_at IS
    'Training on the same data gives the same version again: then only this moves.';

CREATE TABLE model_artifacts (
    version text NOT NULL REFERENCES model_versions (version),
    name text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (version, name)
);
COMMENT ON TABLE model_artifacts IS
    'The files of each version; a version that was registered before they were kept has none.';

CREATE TABLE model_champion (
    is_champion boolean PRIMARY KEY DEFAULT true CHECK (is_champion),
    version text NOT NULL REFERENCES model_versions (version),
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE model_champion IS
    'One row: the version that scores. Promotion and rollback update it, and nothing else.';

CREATE TABLE model_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL CHECK (action IN ('first', 'promoted', 'refused', 'rolled_back')),
    version text NOT NULL REFERENCES model_versions (version),
    champion text REFERENCES model_versions (version),
    forced boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    evidence jsonb,
    decided_by text NOT NULL DEFAULT current_user,
    decided_at timestamptz NOT NULL DEFAULT now(),
    CHECK (champion IS NOT NULL OR action = 'first')
);
COMMENT ON COLUMN model_decisions.champion IS 'The version that was champion before the decision.';

CREATE TABLE model_holdouts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('file', 'orders', 'simulator')),
    name text NOT NULL,
    sha256 text NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    rows integer NOT NULL CHECK (rows > 0),
    late_share double precision NOT NULL,
    content bytea NOT NULL,
    frozen_by text NOT NULL DEFAULT current_user,
    frozen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE model_holdouts IS
    'Frozen orders with known outcomes, as Parquet, that judge models; the newest counts.';
"""

OUTCOMES = """
CREATE TABLE outcomes (
    order_id text COLLATE "C" PRIMARY KEY,
    is_late boolean NOT NULL,
    decided_by text NOT NULL CHECK (decided_by IN ('delivery_date', 'order_status')),
    known_at timestamptz NOT NULL,
    foreseen boolean NOT NULL,
    prediction_id uuid NOT NULL,
    prediction_created_at timestamptz NOT NULL,
    delay_probability double precision NOT NULL,
    severity text NOT NULL,
    model_version text NOT NULL,
    warehouse_block text NOT NULL,
    mode_of_shipment text NOT NULL,
    customer_care_calls integer NOT NULL,
    customer_rating integer NOT NULL,
    prior_purchases integer NOT NULL,
    gender text NOT NULL,
    product_importance text NOT NULL,
    cost_of_product double precision NOT NULL,
    discount_offered double precision NOT NULL,
    weight_in_gms double precision NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 90);
CREATE INDEX outcomes_known_at ON outcomes (known_at);
COMMENT ON TABLE outcomes IS
    'What became of each order, with what was predicted of it and from which features.';
COMMENT ON COLUMN outcomes.known_at IS 'When the record that told the outcome was received.';
COMMENT ON COLUMN outcomes.foreseen IS
    'The prediction was made from an earlier record, before the outcome was known.';
COMMENT ON COLUMN outcomes.prediction_id IS
    'What follows is a copy of that prediction; scoring it again does not change it.';

CREATE TABLE model_quality (
    day date NOT NULL,
    dimension text NOT NULL,
    segment text NOT NULL,
    validated_version text NOT NULL,
    orders bigint NOT NULL,
    late bigint NOT NULL,
    foreseen bigint NOT NULL,
    mean_probability double precision NOT NULL,
    accuracy double precision NOT NULL,
    roc_auc double precision,
    brier double precision NOT NULL,
    ece double precision NOT NULL,
    status text NOT NULL CHECK (status IN ('ok', 'warn', 'fail', 'too_few')),
    findings jsonb NOT NULL DEFAULT '[]',
    measured_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, dimension, segment)
);
COMMENT ON TABLE model_quality IS
    'How good the predictions were whose outcomes became known on a day, by segment.';
COMMENT ON COLUMN model_quality.validated_version IS
    'The champion when it was measured: its validated metrics are what was promised.';

CREATE TABLE data_drift (
    day date NOT NULL,
    feature text NOT NULL,
    model_version text NOT NULL,
    orders bigint NOT NULL,
    psi double precision NOT NULL,
    chi_square double precision NOT NULL,
    degrees_of_freedom integer NOT NULL,
    p_value double precision NOT NULL,
    status text NOT NULL CHECK (status IN ('ok', 'warn', 'fail', 'too_few')),
    message text NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, feature)
);
COMMENT ON TABLE data_drift IS
    'How far the orders received on a day are from those that the champion was trained on.';
"""

TABLES = (
    "data_drift",
    "model_quality",
    "outcomes",
    "model_holdouts",
    "model_decisions",
    "model_champion",
    "model_artifacts",
)


def upgrade() -> None:
    for statements in (MODELS, OUTCOMES):
        op.execute(statements)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE model_versions DROP COLUMN last_trained_at")
