"""The tables of the version before: no approval, no event, a generation for a publication."""

AUDITS = """
CREATE TABLE audits (
    study VARCHAR NOT NULL CHECK (study <> ''),
    audit_id VARCHAR NOT NULL CHECK (audit_id <> ''),
    evidence_sha256 VARCHAR NOT NULL CHECK (length(evidence_sha256) = 64),
    kind VARCHAR NOT NULL CHECK (kind IN ('model', 'generation')),
    verdict VARCHAR NOT NULL CHECK (verdict IN ('pass', 'fail', 'cannot_tell')),
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (study, audit_id, evidence_sha256),
    UNIQUE (study, audit_id, evidence_sha256, kind, verdict)
)
"""

RELEASES = """
CREATE TABLE releases (
    release_id VARCHAR NOT NULL CHECK (release_id <> ''),
    study VARCHAR NOT NULL,
    model_key VARCHAR NOT NULL CHECK (model_key <> ''),
    model_sha256 VARCHAR NOT NULL CHECK (length(model_sha256) = 64),
    events_key VARCHAR NOT NULL CHECK (events_key <> ''),
    sequences_key VARCHAR NOT NULL CHECK (sequences_key <> ''),
    task VARCHAR NOT NULL CHECK (task IN ('risk', 'direction', 'volatility', 'quantiles')),
    threshold DOUBLE PRECISION,
    audit_id VARCHAR NOT NULL,
    evidence_sha256 VARCHAR NOT NULL,
    audit_kind VARCHAR NOT NULL CHECK (audit_kind = 'model'),
    audit_verdict VARCHAR NOT NULL CHECK (audit_verdict = 'pass'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CHECK (CASE WHEN task IN ('risk', 'direction')
        THEN threshold IS NOT NULL AND threshold BETWEEN 0 AND 1
        ELSE threshold IS NULL END),
    PRIMARY KEY (release_id),
    UNIQUE (release_id, study, task),
    FOREIGN KEY (study, audit_id, evidence_sha256, audit_kind, audit_verdict)
        REFERENCES audits (study, audit_id, evidence_sha256, kind, verdict)
)
"""

GENERATIONS = """
CREATE TABLE generations (
    generation_id VARCHAR NOT NULL CHECK (generation_id <> ''),
    generation_number BIGINT NOT NULL,
    study VARCHAR NOT NULL,
    release_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    audit_id VARCHAR NOT NULL,
    evidence_sha256 VARCHAR NOT NULL,
    audit_kind VARCHAR NOT NULL CHECK (audit_kind = 'generation'),
    audit_verdict VARCHAR NOT NULL CHECK (audit_verdict = 'pass'),
    scores_key VARCHAR NOT NULL CHECK (scores_key <> ''),
    events_key VARCHAR NOT NULL CHECK (events_key <> ''),
    sequences_key VARCHAR NOT NULL CHECK (sequences_key <> ''),
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE NOT NULL,
    row_count BIGINT NOT NULL CHECK (row_count > 0),
    PRIMARY KEY (generation_id),
    UNIQUE (generation_number),
    UNIQUE (generation_id, release_id, audit_id, task),
    FOREIGN KEY (release_id, study, task) REFERENCES releases (release_id, study, task),
    FOREIGN KEY (study, audit_id, evidence_sha256, audit_kind, audit_verdict)
        REFERENCES audits (study, audit_id, evidence_sha256, kind, verdict)
)
"""

PREDICTIONS = """
CREATE TABLE predictions (
    generation_id VARCHAR NOT NULL,
    release_id VARCHAR NOT NULL,
    audit_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL CHECK (task IN ('risk', 'direction', 'volatility', 'quantiles')),
    is_point_in_time BOOLEAN NOT NULL,
    subject_id BIGINT NOT NULL,
    instrument VARCHAR,
    instrument_group VARCHAR,
    index_time TIMESTAMP WITH TIME ZONE NOT NULL,
    score DOUBLE PRECISION NOT NULL CHECK (score BETWEEN -1e300 AND 1e300),
    score_calibrated DOUBLE PRECISION NOT NULL,
    score_low DOUBLE PRECISION NOT NULL,
    score_high DOUBLE PRECISION NOT NULL,
    quantile_05 DOUBLE PRECISION,
    quantile_25 DOUBLE PRECISION,
    quantile_50 DOUBLE PRECISION,
    quantile_75 DOUBLE PRECISION,
    quantile_95 DOUBLE PRECISION,
    last_price DOUBLE PRECISION,
    sequence_length INTEGER NOT NULL CHECK (sequence_length >= 0),
    share_missing DOUBLE PRECISION NOT NULL CHECK (share_missing BETWEEN 0 AND 1),
    split VARCHAR NOT NULL CHECK (split IN ('train', 'validation', 'test', 'none')),
    threshold DOUBLE PRECISION,
    decision BOOLEAN,
    CHECK (CASE WHEN task = 'risk'
        THEN instrument IS NULL AND instrument_group IS NULL
        ELSE instrument IS NOT NULL AND instrument <> ''
            AND instrument_group IS NOT NULL AND instrument_group <> '' END),
    CHECK (score_low <= score_high),
    CHECK (CASE WHEN task IN ('risk', 'direction')
        THEN score_calibrated BETWEEN 0 AND 1 AND score_low >= 0 AND score_high <= 1
        ELSE score_calibrated > 0 AND score_calibrated <= 1e300
            AND score_low > 0 AND score_high <= 1e300 END),
    CHECK (CASE WHEN task IN ('risk', 'direction')
        THEN threshold IS NOT NULL AND decision IS NOT NULL
            AND threshold BETWEEN 0 AND 1 AND decision = (score_calibrated >= threshold)
        ELSE threshold IS NULL AND decision IS NULL END),
    CHECK (CASE WHEN task = 'quantiles'
        THEN quantile_05 IS NOT NULL AND quantile_25 IS NOT NULL AND quantile_50 IS NOT NULL
            AND quantile_75 IS NOT NULL AND quantile_95 IS NOT NULL
            AND quantile_05 >= -1e300 AND quantile_05 <= quantile_25
            AND quantile_25 <= quantile_50 AND quantile_50 <= quantile_75
            AND quantile_75 <= quantile_95 AND quantile_95 <= 1e300
        ELSE quantile_05 IS NULL AND quantile_25 IS NULL AND quantile_50 IS NULL
            AND quantile_75 IS NULL AND quantile_95 IS NULL END),
    CHECK (CASE WHEN task = 'quantiles'
        THEN last_price IS NOT NULL AND last_price > 0 AND last_price <= 1e300
        ELSE last_price IS NULL END),
    PRIMARY KEY (generation_id, subject_id),
    FOREIGN KEY (generation_id, release_id, audit_id, task)
        REFERENCES generations (generation_id, release_id, audit_id, task)
)
"""

STATE_CHANGES = """
CREATE TABLE state_changes (
    change_number BIGINT NOT NULL,
    generation_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL CHECK (state IN ('withdrawn', 'reinstated')),
    reason VARCHAR NOT NULL CHECK (reason <> ''),
    changed_by VARCHAR NOT NULL CHECK (changed_by <> ''),
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (change_number),
    FOREIGN KEY (generation_id) REFERENCES generations (generation_id)
)
"""

# In this order: a table is made after those it refers to.
TABLES_WITHOUT_APPROVALS = {
    "audits": AUDITS,
    "releases": RELEASES,
    "generations": GENERATIONS,
    "predictions": PREDICTIONS,
    "state_changes": STATE_CHANGES,
}
