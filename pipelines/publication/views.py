"""What analysts read, over the tables of ``schema``; the queries are the same in both databases.

A date means all of that day in UTC, whatever the zone of the reader's session. DuckDB looks up a
macro's tables where the session is: who attaches the snapshot beside others says USE first.
"""

from pipelines.publication.schema import REASON_COLUMNS

# The newest change decides; a publication that nobody touched is published.
PUBLICATION_STATES = """
SELECT
    publications.*,
    COALESCE(changes.state, 'published') AS state,
    COALESCE(changes.state, 'published') <> 'withdrawn' AS stands,
    changes.reason,
    changes.changed_by,
    changes.changed_at
FROM publications
LEFT JOIN (
    SELECT
        generation_id, state, reason, changed_by, changed_at,
        row_number() OVER (PARTITION BY generation_id ORDER BY change_number DESC) AS age
    FROM withdrawals
    {changed}
) AS changes ON changes.generation_id = publications.generation_id AND changes.age = 1
{published}
"""

# The universe is ingested with the events: their key names both.
PREDICTIONS_PUBLISHED = """
SELECT
    predictions.study,
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
    {reasons},
    predictions.sequence_length,
    predictions.share_missing,
    predictions.split,
    releases.model_key,
    releases.model_sha256,
    releases.audit_id AS model_audit_id,
    releases.evidence_sha256 AS model_evidence_sha256,
    predictions.release_id,
    predictions.audit_id,
    publications.evidence_sha256,
    publications.scores_key,
    publications.events_key,
    publications.events_key AS universe_snapshot,
    publications.sequences_key,
    predictions.generation_id,
    publications.as_of,
    publications.published_at
FROM predictions
JOIN publications ON publications.generation_id = predictions.generation_id
JOIN releases ON releases.release_id = predictions.release_id
""".format(reasons=",\n    ".join(f"predictions.{name}" for name in REASON_COLUMNS))

# A rerun for an old date is published last and must not hide a newer date.
STANDING = """
SELECT predictions_published.*
FROM predictions_published
JOIN (
    SELECT
        generation_id,
        row_number() OVER (
            PARTITION BY study ORDER BY as_of DESC, generation_number DESC
        ) AS age
    FROM {states}
    WHERE stands {asked}
) AS standing ON standing.generation_id = predictions_published.generation_id
WHERE standing.age = 1
"""

PREDICTIONS_WITHDRAWN = """
SELECT
    predictions_published.*,
    publication_states.reason,
    publication_states.changed_by,
    publication_states.changed_at
FROM predictions_published
JOIN publication_states
    ON publication_states.generation_id = predictions_published.generation_id
WHERE NOT publication_states.stands
"""

# What a person was told at a moment is what had been published and not withdrawn until then.
STATES_AT = PUBLICATION_STATES.format(
    changed="WHERE changed_at <= asked_moment",
    published="WHERE publications.published_at <= asked_moment",
)
ON_DAY = "AND as_of < CAST(CAST(asked_day AS DATE) + 1 AS TIMESTAMP) AT TIME ZONE 'UTC'"

# In this order: a view is made after those it reads.
VIEWS = {
    "publication_states": PUBLICATION_STATES.format(changed="", published=""),
    "predictions_published": PREDICTIONS_PUBLISHED,
    "predictions_current": STANDING.format(states="publication_states", asked=""),
    "predictions_withdrawn": PREDICTIONS_WITHDRAWN,
}
# Name -> (argument, its type, query).
QUESTIONS = {
    "predictions_as_of": (
        "asked_day",
        "DATE",
        STANDING.format(states="publication_states", asked=ON_DAY),
    ),
    "predictions_seen_at": (
        "asked_moment",
        "TIMESTAMP WITH TIME ZONE",
        STANDING.format(states=f"({STATES_AT}) AS seen", asked=""),
    ),
}

DUCKDB_VIEWS = (
    *(f"CREATE OR REPLACE VIEW {name} AS {query}" for name, query in VIEWS.items()),
    *(
        f"CREATE OR REPLACE MACRO {name}({argument}) AS TABLE {query}"
        for name, (argument, _, query) in QUESTIONS.items()
    ),
)
