"""The tables and views of a publication: one contract for DuckDB and PostgreSQL.

The store itself refuses what the gate refused. A release names its audit *and the verdict* by a
composite foreign key, a generation names its release and its own audit alike, a prediction names
its generation, and the task goes down that chain: what is predicted is one thing for a release.

A NULL would pass a foreign key and a CHECK. So only what a task does not have is NULL, and each
CHECK on it asks for IS NULL or IS NOT NULL first: FALSE AND NULL is FALSE, TRUE OR NULL is TRUE.
Nothing is ever updated: a change of state is a new row of ``state_changes``.

Only the macro at the end is DuckDB's own; PostgreSQL says the same in a function.
"""

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

# A NaN is greater than every number in both databases, so BETWEEN and <= refuse it. A risk is a
# patient's, who has a pseudonym and no name; an instrument is no person and is named.
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
TABLES = {
    "audits": AUDITS,
    "releases": RELEASES,
    "generations": GENERATIONS,
    "predictions": PREDICTIONS,
    "state_changes": STATE_CHANGES,
}

# The newest change decides; a generation that nobody touched is published.
GENERATION_STATES = """
CREATE OR REPLACE VIEW generation_states AS
SELECT
    generations.*,
    COALESCE(changes.state, 'published') AS state,
    COALESCE(changes.state, 'published') <> 'withdrawn' AS stands,
    changes.reason,
    changes.changed_by,
    changes.changed_at
FROM generations
LEFT JOIN (
    SELECT *, row_number() OVER (PARTITION BY generation_id ORDER BY change_number DESC) AS age
    FROM state_changes
) AS changes ON changes.generation_id = generations.generation_id AND changes.age = 1
"""

# The universe is ingested with the events: their key names both.
PREDICTIONS_PUBLISHED = """
CREATE OR REPLACE VIEW predictions_published AS
SELECT
    generations.study,
    predictions.task,
    predictions.is_point_in_time,
    predictions.subject_id,
    predictions.instrument,
    predictions.instrument_group,
    predictions.index_time,
    predictions.score,
    predictions.score_calibrated,
    predictions.score_low,
    predictions.score_high,
    predictions.quantile_05,
    predictions.quantile_25,
    predictions.quantile_50,
    predictions.quantile_75,
    predictions.quantile_95,
    predictions.last_price,
    predictions.threshold,
    predictions.decision,
    predictions.sequence_length,
    predictions.share_missing,
    predictions.split,
    releases.model_key,
    releases.model_sha256,
    releases.audit_id AS model_audit_id,
    releases.evidence_sha256 AS model_evidence_sha256,
    predictions.release_id,
    predictions.audit_id,
    generations.evidence_sha256,
    generations.scores_key,
    generations.events_key,
    generations.events_key AS universe_snapshot,
    generations.sequences_key,
    predictions.generation_id,
    generations.as_of,
    generations.published_at
FROM predictions
JOIN generations ON generations.generation_id = predictions.generation_id
JOIN releases ON releases.release_id = predictions.release_id
"""

# A rerun for an old date is published last and must not hide a newer date.
PREDICTIONS_CURRENT = """
CREATE OR REPLACE VIEW predictions_current AS
SELECT predictions_published.*
FROM predictions_published
JOIN (
    SELECT
        generation_id,
        row_number() OVER (
            PARTITION BY study ORDER BY as_of DESC, generation_number DESC
        ) AS age
    FROM generation_states
    WHERE stands
) AS standing ON standing.generation_id = predictions_published.generation_id
WHERE standing.age = 1
"""

PREDICTIONS_WITHDRAWN = """
CREATE OR REPLACE VIEW predictions_withdrawn AS
SELECT
    predictions_published.*,
    generation_states.reason,
    generation_states.changed_by,
    generation_states.changed_at
FROM predictions_published
JOIN generation_states
    ON generation_states.generation_id = predictions_published.generation_id
WHERE NOT generation_states.stands
"""

# A date means all of that day in UTC, whatever the zone of the reader's session. DuckDB looks up a
# macro's tables where the session is: who attaches the snapshot beside others says USE first.
PREDICTIONS_AS_OF = """
CREATE OR REPLACE MACRO predictions_as_of(asked_day) AS TABLE
SELECT predictions_published.*
FROM predictions_published
JOIN (
    SELECT
        generation_id,
        row_number() OVER (
            PARTITION BY study ORDER BY as_of DESC, generation_number DESC
        ) AS age
    FROM generation_states
    WHERE stands
        AND as_of < CAST(CAST(asked_day AS DATE) + 1 AS TIMESTAMP) AT TIME ZONE 'UTC'
) AS standing ON standing.generation_id = predictions_published.generation_id
WHERE standing.age = 1
"""

VIEWS = (
    GENERATION_STATES,
    PREDICTIONS_PUBLISHED,
    PREDICTIONS_CURRENT,
    PREDICTIONS_WITHDRAWN,
    PREDICTIONS_AS_OF,
)
