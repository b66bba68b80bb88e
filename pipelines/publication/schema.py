"""The tables of a publication: one contract for DuckDB and PostgreSQL.

The store itself refuses what the gate refused. An approval names its audit *and the verdict* by a
composite foreign key, a release its approval with model, evidence, verdict and the decision
``approved``, a publication its release and its own audit alike, a prediction its publication; study
and task go down that chain. The gate approves a pass and nothing else; what only people may approve
says so. Nothing is ever updated: a change of state is a new row of ``withdrawals``.

A NULL would pass a foreign key and a CHECK. So only what a row does not have is NULL, and each
CHECK on it asks for IS NULL or IS NOT NULL first: FALSE AND NULL is FALSE, TRUE OR NULL is TRUE.

Every row of these tables but the predictions has its event in ``event_log``, where each event's
hash covers the hash before it; a publication's event carries the digest of its predictions.

Out of scope: who may write the DuckDB file can rewrite it, and a superuser of PostgreSQL the
tables; both are told by ``verification`` as far as the head of the log, kept outside, reaches.
"""

from dataclasses import replace

from pipelines.publication.tables import Table

TEXT, MOMENT, NUMBER, BYTES = "VARCHAR", "TIMESTAMP WITH TIME ZONE", "DOUBLE PRECISION", "BYTEA"
SHA256_LENGTH = 64


def _said(*columns: str) -> dict[str, str]:
    return {f"{name}_is_said": f"CHECK ({name} <> '')" for name in columns}


def _hashes(*columns: str) -> dict[str, str]:
    return {f"{name}_is_sha256": f"CHECK (length({name}) = {SHA256_LENGTH})" for name in columns}


def _keys(columns: str, table: str, named: str = "") -> str:
    return f"FOREIGN KEY ({columns}) REFERENCES {{schema}}{table} ({named or columns})"


AUDITS = Table(
    "audits",
    {
        "study": TEXT,
        "audit_id": TEXT,
        "evidence_sha256": TEXT,
        "kind": TEXT,
        "verdict": TEXT,
        "recorded_at": MOMENT,
    },
    ("study", "audit_id", "evidence_sha256"),
    _said("study", "audit_id")
    | _hashes("evidence_sha256")
    | {
        "kind_is_known": "CHECK (kind IN ('model', 'generation'))",
        "verdict_is_known": "CHECK (verdict IN ('pass', 'fail', 'cannot_tell'))",
        "judged": "UNIQUE (study, audit_id, evidence_sha256, kind, verdict)",
    },
)

# What an approval is bound to, and a release with it.
_DECIDED = (
    "approval_id, study, audit_id, evidence_sha256, audit_verdict, model_sha256, data_sha256,"
    " policy_sha256"
)

APPROVALS = Table(
    "approvals",
    {
        "approval_id": TEXT,
        "study": TEXT,
        "audit_id": TEXT,
        "evidence_sha256": TEXT,
        "audit_kind": TEXT,
        "audit_verdict": TEXT,
        "model_sha256": TEXT,
        "data_sha256": TEXT,
        "policy_sha256": TEXT,
        "request_id": TEXT,
        "decision": TEXT,
        "grounds": TEXT,
        "decided_by": TEXT,
        "reason": TEXT,
        "decided_at": MOMENT,
        "expires_at": MOMENT,
    },
    ("approval_id",),
    _said("approval_id", "request_id", "decided_by", "reason")
    | _hashes("model_sha256", "data_sha256", "policy_sha256")
    | {
        "is_of_a_model": "CHECK (audit_kind = 'model')",
        "decision_is_known": "CHECK (decision IN ('approved', 'rejected'))",
        "grounds_are_known": "CHECK (grounds IN ('gate', 'people'))",
        "gate_approves_a_pass": "CHECK (grounds <> 'gate'"
        " OR (audit_verdict = 'pass' AND decision = 'approved'))",
        "people_are_asked": "CHECK ((grounds = 'people') = (request_id <> 'none'))",
        "people_decide_for_a_time": "CHECK ((grounds = 'people') = (expires_at IS NOT NULL))",
        "audit": _keys(
            "study, audit_id, evidence_sha256, audit_kind, audit_verdict",
            "audits",
            "study, audit_id, evidence_sha256, kind, verdict",
        ),
        "decided": f"UNIQUE ({_DECIDED}, grounds, decision)",
        "ends": "UNIQUE (approval_id, expires_at)",
    },
    frozenset({"expires_at"}),
)

# One approval carries one release: it cannot be replayed for another. An end that is not said would
# pass its foreign key, so grounds that people gave demand one. The writer says ``created_at``.
RELEASES = Table(
    "releases",
    {
        "release_id": TEXT,
        "study": TEXT,
        "model_key": TEXT,
        "model_sha256": TEXT,
        "events_key": TEXT,
        "sequences_key": TEXT,
        "task": TEXT,
        "threshold": NUMBER,
        "audit_id": TEXT,
        "evidence_sha256": TEXT,
        "audit_verdict": TEXT,
        "data_sha256": TEXT,
        "policy_sha256": TEXT,
        "approval_id": TEXT,
        "approval_grounds": TEXT,
        "approval_decision": TEXT,
        "approval_expires_at": MOMENT,
        "created_at": MOMENT,
    },
    ("release_id",),
    _said("release_id", "model_key", "events_key", "sequences_key")
    | {
        "task_is_known": "CHECK (task IN ('risk', 'direction', 'volatility', 'quantiles'))",
        "threshold_fits_task": "CHECK (CASE WHEN task IN ('risk', 'direction')"
        " THEN threshold IS NOT NULL AND threshold BETWEEN 0 AND 1 ELSE threshold IS NULL END)",
        "is_approved": "CHECK (approval_decision = 'approved')",
        "approval": _keys(
            f"{_DECIDED}, approval_grounds, approval_decision",
            "approvals",
            f"{_DECIDED}, grounds, decision",
        ),
        "approval_ends": _keys(
            "approval_id, approval_expires_at", "approvals", "approval_id, expires_at"
        ),
        "people_approve_for_a_time": "CHECK ((approval_grounds = 'people')"
        " = (approval_expires_at IS NOT NULL))",
        "made_in_time": "CHECK (approval_expires_at IS NULL OR created_at < approval_expires_at)",
        "one_per_approval": "UNIQUE (approval_id)",
        "predicts": "UNIQUE (release_id, study, task)",
    },
    frozenset({"threshold", "approval_expires_at"}),
)

PUBLICATIONS = Table(
    "publications",
    {
        "generation_id": TEXT,
        "generation_number": "BIGINT",
        "study": TEXT,
        "release_id": TEXT,
        "task": TEXT,
        "audit_id": TEXT,
        "evidence_sha256": TEXT,
        "audit_kind": TEXT,
        "audit_verdict": TEXT,
        "scores_key": TEXT,
        "events_key": TEXT,
        "sequences_key": TEXT,
        "as_of": MOMENT,
        "published_at": MOMENT,
        "row_count": "BIGINT",
        "rows_digest": TEXT,
    },
    ("generation_id",),
    _said("generation_id", "scores_key", "events_key", "sequences_key")
    | _hashes("rows_digest")
    | {
        "is_of_a_generation": "CHECK (audit_kind = 'generation')",
        "audit_passed": "CHECK (audit_verdict = 'pass')",
        "has_rows": "CHECK (row_count > 0)",
        "number_once": "UNIQUE (generation_number)",
        "release": _keys("release_id, study, task", "releases"),
        "audit": _keys(
            "study, audit_id, evidence_sha256, audit_kind, audit_verdict",
            "audits",
            "study, audit_id, evidence_sha256, kind, verdict",
        ),
        "predicts": "UNIQUE (generation_id, study, release_id, audit_id, task)",
        "study_once": "UNIQUE (generation_id, study)",
    },
)

QUANTILE_COLUMNS = ("quantile_05", "quantile_25", "quantile_50", "quantile_75", "quantile_95")

# Why a row has its score: up to so many reasons, the weightiest first.
REASON_RANKS = (1, 2, 3)
REASON_COLUMNS = {
    "reason_method": TEXT,
    **{
        f"reason_{rank}_{what}": kind
        for rank in REASON_RANKS
        for what, kind in (("channel", TEXT), ("days_before", NUMBER), ("contribution", NUMBER))
    },
}


def _of_reasons(check: str) -> str:
    """The check of every rank."""
    return " AND ".join(f"({check.replace('#', str(rank))})" for rank in REASON_RANKS)


# A reason is a channel and what it contributed; what has no time, as a birth, has no days before.
REASON_GUARDS = {
    "reasons_have_a_method": "CHECK ((reason_method IS NULL) = (reason_1_channel IS NULL)"
    " AND (reason_method IS NULL OR reason_method <> ''))",
    "reasons_are_whole": "CHECK ("
    + _of_reasons("(reason_#_channel IS NULL) = (reason_#_contribution IS NULL)")
    + " AND "
    + _of_reasons("reason_#_channel IS NOT NULL OR reason_#_days_before IS NULL")
    + ")",
    "reasons_are_named": "CHECK ("
    + _of_reasons("reason_#_channel IS NULL OR reason_#_channel <> ''")
    + ")",
    "reasons_are_in_order": "CHECK ((reason_1_channel IS NOT NULL OR reason_2_channel IS NULL)"
    " AND (reason_2_channel IS NOT NULL OR reason_3_channel IS NULL))",
    "reasons_are_finite": "CHECK ("
    + _of_reasons("reason_#_contribution IS NULL OR reason_#_contribution BETWEEN -1e300 AND 1e300")
    + " AND "
    + _of_reasons("reason_#_days_before IS NULL OR reason_#_days_before BETWEEN 0 AND 1e300")
    + ")",
}

# A NaN is greater than every number in both databases, so BETWEEN and <= refuse it. A risk is a
# patient's, who has a pseudonym and no name; an instrument is no person and is named.
# A threshold is each row's own: groups may have others, and no patient's group is published.
PREDICTIONS = Table(
    "predictions",
    {
        "generation_id": TEXT,
        "study": TEXT,
        "release_id": TEXT,
        "audit_id": TEXT,
        "task": TEXT,
        "is_point_in_time": "BOOLEAN",
        "subject_id": "BIGINT",
        "instrument": TEXT,
        "instrument_group": TEXT,
        "index_time": MOMENT,
        "score": NUMBER,
        "score_calibrated": NUMBER,
        "score_low": NUMBER,
        "score_high": NUMBER,
        **dict.fromkeys(QUANTILE_COLUMNS, NUMBER),
        "last_price": NUMBER,
        "sequence_length": "INTEGER",
        "share_missing": NUMBER,
        "split": TEXT,
        "threshold": NUMBER,
        "decision": "BOOLEAN",
        **REASON_COLUMNS,
        "row_key": BYTES,
        "commitment": BYTES,
    },
    ("generation_id", "subject_id"),
    {
        "score_is_finite": "CHECK (score BETWEEN -1e300 AND 1e300)",
        "length_is_no_debt": "CHECK (sequence_length >= 0)",
        "share_is_a_share": "CHECK (share_missing BETWEEN 0 AND 1)",
        "split_is_known": "CHECK (split IN ('train', 'validation', 'test', 'none'))",
        "names_fit_task": "CHECK (CASE WHEN task = 'risk'"
        " THEN instrument IS NULL AND instrument_group IS NULL"
        " ELSE instrument IS NOT NULL AND instrument <> ''"
        " AND instrument_group IS NOT NULL AND instrument_group <> '' END)",
        "interval_stands": "CHECK (score_low <= score_high)",
        "scores_fit_task": "CHECK (CASE WHEN task IN ('risk', 'direction')"
        " THEN score_calibrated BETWEEN 0 AND 1 AND score_low >= 0 AND score_high <= 1"
        " ELSE score_calibrated > 0 AND score_calibrated <= 1e300"
        " AND score_low > 0 AND score_high <= 1e300 END)",
        "decision_fits_task": "CHECK (CASE WHEN task IN ('risk', 'direction')"
        " THEN threshold IS NOT NULL AND decision IS NOT NULL"
        " AND threshold BETWEEN 0 AND 1 AND decision = (score_calibrated >= threshold)"
        " ELSE threshold IS NULL AND decision IS NULL END)",
        "quantiles_fit_task": "CHECK (CASE WHEN task = 'quantiles'"
        f" THEN {' AND '.join(f'{name} IS NOT NULL' for name in QUANTILE_COLUMNS)}"
        " AND quantile_05 >= -1e300 AND quantile_05 <= quantile_25"
        " AND quantile_25 <= quantile_50 AND quantile_50 <= quantile_75"
        " AND quantile_75 <= quantile_95 AND quantile_95 <= 1e300"
        f" ELSE {' AND '.join(f'{name} IS NULL' for name in QUANTILE_COLUMNS)} END)",
        "price_fits_task": "CHECK (CASE WHEN task = 'quantiles'"
        " THEN last_price IS NOT NULL AND last_price > 0 AND last_price <= 1e300"
        " ELSE last_price IS NULL END)",
        **REASON_GUARDS,
        "row_key_is_a_key": "CHECK (octet_length(row_key) = 32)",
        "commitment_is_sha256": "CHECK (octet_length(commitment) = 32)",
        "publication": _keys("generation_id, study, release_id, audit_id, task", "publications"),
    },
    frozenset(
        {
            *("instrument", "instrument_group", "last_price", "threshold", "decision"),
            *QUANTILE_COLUMNS,
            *REASON_COLUMNS,
        }
    ),
)

WITHDRAWALS = Table(
    "withdrawals",
    {
        "change_number": "BIGINT",
        "generation_id": TEXT,
        "study": TEXT,
        "state": TEXT,
        "reason": TEXT,
        "changed_by": TEXT,
        "changed_at": MOMENT,
    },
    ("change_number",),
    _said("reason", "changed_by")
    | {
        "state_is_known": "CHECK (state IN ('withdrawn', 'reinstated'))",
        "publication": _keys("generation_id, study", "publications"),
    },
)

# The tombstone of a person whose rows were erased; ``subject_hash`` is keyed by the installation.
# ``erased_by`` is who asked, ``login`` whom the database or the system knew.
ERASURES = Table(
    "erasures",
    {
        "erasure_number": "BIGINT",
        "study": TEXT,
        "subject_hash": TEXT,
        "key_sha256": TEXT,
        "ground": TEXT,
        "erased_by": TEXT,
        "login": TEXT,
        "erased_at": MOMENT,
        "row_count": "BIGINT",
    },
    ("erasure_number",),
    _said("study", "ground", "erased_by", "login")
    | _hashes("subject_hash", "key_sha256")
    | {
        "rows_are_no_debt": "CHECK (row_count >= 0)",
        "once": "UNIQUE (study, subject_hash)",
        "study_once": "UNIQUE (erasure_number, study)",
    },
)

# What is left of an erased row: without its key nobody can tell what it committed to.
ERASED_ROWS = Table(
    "erased_rows",
    {"generation_id": TEXT, "commitment": BYTES, "study": TEXT, "erasure_number": "BIGINT"},
    ("generation_id", "commitment"),
    {
        "commitment_is_sha256": "CHECK (octet_length(commitment) = 32)",
        "publication": _keys("generation_id, study", "publications"),
        "erasure": _keys("erasure_number, study", "erasures"),
    },
)

EVENT_LOG = Table(
    "event_log",
    {
        "event_number": "BIGINT",
        "event": TEXT,
        "study": TEXT,
        "payload": TEXT,
        "previous_sha256": TEXT,
        "event_sha256": TEXT,
    },
    ("event_number",),
    _said("event", "study", "payload")
    | _hashes("previous_sha256", "event_sha256")
    | {"one_follows_one": "UNIQUE (previous_sha256)"},
)

# In this order: a table is made after those it refers to.
CONTRACT = (
    AUDITS,
    APPROVALS,
    RELEASES,
    PUBLICATIONS,
    PREDICTIONS,
    WITHDRAWALS,
    ERASURES,
    ERASED_ROWS,
    EVENT_LOG,
)
TABLES = {table.name: table.statement() for table in CONTRACT}

# The version before published no reasons.
WITHOUT_REASONS = replace(
    PREDICTIONS,
    columns={k: v for k, v in PREDICTIONS.columns.items() if k not in REASON_COLUMNS},
    guards={k: v for k, v in PREDICTIONS.guards.items() if k not in REASON_GUARDS},
)
TABLES_WITHOUT_REASONS = TABLES | {"predictions": WITHOUT_REASONS.statement()}
