"""Rows of every table that break nothing, and what makes each guard, and no other, refuse one."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.publication.schema import CONTRACT, PREDICTIONS, PUBLICATIONS

Row = dict[str, Any]
NOW = datetime(2020, 1, 1, tzinfo=UTC)


def sha(letter: str) -> str:
    return letter * 64


def _audit(study: str, name: str, letter: str, kind: str, verdict: str) -> Row:
    named = {"study": study, "audit_id": name, "evidence_sha256": sha(letter)}
    return named | {"kind": kind, "verdict": verdict, "recorded_at": NOW}


def _approval(name: str, study: str, **change: Any) -> Row:
    return {
        "approval_id": name,
        "study": study,
        "audit_id": "model_audit",
        "evidence_sha256": sha("a"),
        "audit_kind": "model",
        "audit_verdict": "pass",
        "model_sha256": sha("1"),
        "data_sha256": sha("2"),
        "policy_sha256": sha("3"),
        "request_id": "none",
        "decision": "approved",
        "grounds": "gate",
        "decided_by": '["gate"]',
        "reason": "the audit passed",
        "decided_at": NOW,
        "expires_at": None,
    } | change


# Of the key of the tests that erase: 32 bytes k.
KEY_SHA256 = hashlib.sha256(b"k" * 32).hexdigest()
LATER = NOW + timedelta(days=14)
BY_PEOPLE = {"grounds": "people", "request_id": "request-1", "expires_at": LATER}
RELEASED_BY_PEOPLE = {"approval_grounds": "people", "approval_expires_at": LATER}


def _release(name: str, study: str, approval: str, task: str, **change: Any) -> Row:
    return {
        "release_id": name,
        "study": study,
        "model_key": "model",
        "model_sha256": sha("1"),
        "events_key": "events",
        "sequences_key": "sequences",
        "task": task,
        "threshold": 0.5 if task == "risk" else None,
        "audit_id": "model_audit",
        "evidence_sha256": sha("a"),
        "audit_verdict": "pass",
        "data_sha256": sha("2"),
        "policy_sha256": sha("3"),
        "approval_id": approval,
        "approval_grounds": "gate",
        "approval_decision": "approved",
        "approval_expires_at": None,
        "created_at": NOW,
    } | change


def _publication(name: str, number: int, study: str, release: str, task: str) -> Row:
    values = {
        "generation_id": name,
        "generation_number": number,
        "study": study,
        "release_id": release,
        "task": task,
        "audit_id": "audit",
        "evidence_sha256": sha("b"),
        "audit_kind": "generation",
        "audit_verdict": "pass",
        "scores_key": "scores",
        "events_key": "events",
        "sequences_key": "sequences",
        "as_of": NOW,
        "published_at": NOW,
        "row_count": 1,
        "rows_digest": sha("d"),
    }
    assert list(values) == list(PUBLICATIONS.columns)
    return values


def _prediction(publication: Row) -> Row:
    task = publication["task"]
    carried = ("generation_id", "study", "release_id", "audit_id", "task")
    row = dict.fromkeys(PREDICTIONS.columns) | {name: publication[name] for name in carried}
    row |= {"is_point_in_time": True, "subject_id": 1, "index_time": NOW, "score": 0.0}
    row |= {"score_calibrated": 0.5, "score_low": 0.25, "score_high": 0.75, "split": "none"}
    row |= {"sequence_length": 1, "share_missing": 0.5}
    row |= {"row_key": b"k" * 32, "commitment": b"c" * 32}
    if task == "risk":
        return row | {"threshold": 0.5, "decision": True}
    row |= {"instrument": "I1", "instrument_group": "energy"}
    row |= {"reason_method": "occlusion", "reason_1_channel": "range", "reason_1_days_before": 0.0}
    row |= {"reason_1_contribution": 0.5}
    if task == "quantiles":
        row |= {name: 0.0 for name in PREDICTIONS.columns if name.startswith("quantile_")}
        row |= {"last_price": 1.0}
    return row


RISK = _publication("risk_1", 1, "toy", "risk_release", "risk")
VOLATILITY = _publication("volatility_1", 2, "toy", "volatility_release", "volatility")
QUANTILES = _publication("quantiles_1", 3, "toy", "quantiles_release", "quantiles")
_TOLD = {"event": "audit", "study": "toy", "payload": "{}"}

# Name -> (table, row), in an order in which each finds what it refers to.
WORLD: dict[str, tuple[str, Row]] = {
    "model audit": ("audits", _audit("toy", "model_audit", "a", "model", "pass")),
    "other model audit": ("audits", _audit("other", "model_audit", "a", "model", "pass")),
    "audit": ("audits", _audit("toy", "audit", "b", "generation", "pass")),
    "other audit": ("audits", _audit("other", "audit", "b", "generation", "pass")),
    "failed": ("audits", _audit("toy", "failed", "c", "generation", "fail")),
    "approval": ("approvals", _approval("by_gate", "toy")),
    "approval too": ("approvals", _approval("by_gate_too", "toy")),
    "free approval": ("approvals", _approval("free", "toy")),
    "free people": ("approvals", _approval("free_people", "toy", **BY_PEOPLE)),
    "people": ("approvals", _approval("by_people", "toy", **BY_PEOPLE)),
    "rejection": ("approvals", _approval("no", "toy", **BY_PEOPLE, decision="rejected")),
    "other approval": ("approvals", _approval("other_by_gate", "other")),
    "release": ("releases", _release("risk_release", "toy", "by_gate", "risk")),
    "volatility": ("releases", _release("volatility_release", "toy", "by_gate_too", "volatility")),
    "quantiles": (
        "releases",
        _release("quantiles_release", "toy", "by_people", "quantiles", **RELEASED_BY_PEOPLE),
    ),
    "other release": ("releases", _release("other_release", "other", "other_by_gate", "risk")),
    "publication": ("publications", RISK),
    "volatility_1": ("publications", VOLATILITY),
    "quantiles_1": ("publications", QUANTILES),
    "prediction": ("predictions", _prediction(RISK)),
    "volatile prediction": ("predictions", _prediction(VOLATILITY)),
    "quantile prediction": ("predictions", _prediction(QUANTILES)),
    "withdrawal": (
        "withdrawals",
        {"change_number": 1, "generation_id": "risk_1", "study": "toy", "state": "withdrawn"}
        | {"reason": "why", "changed_by": "Ada", "changed_at": NOW},
    ),
    "erasure": (
        "erasures",
        {"erasure_number": 1001, "study": "toy", "subject_hash": sha("e"), "ground": "asked"}
        | {
            "key_sha256": KEY_SHA256,
            "login": "ada",
            "erased_by": "Ada",
            "erased_at": NOW,
            "row_count": 1,
        },
    ),
    "erased row": (
        "erased_rows",
        {
            "generation_id": "risk_1",
            "commitment": b"e" * 32,
            "study": "toy",
            "erasure_number": 1001,
        },
    ),
    "event": (
        "event_log",
        _TOLD | {"event_number": 1, "previous_sha256": sha("0"), "event_sha256": sha("1")},
    ),
}
# What makes a copy of each table's first row another row.
ANOTHER: dict[str, Row] = {
    "audits": {"audit_id": "another"},
    "approvals": {"approval_id": "another"},
    "releases": {"release_id": "another", "approval_id": "free"},
    "publications": {"generation_id": "another", "generation_number": 99},
    "predictions": {"subject_id": 99},
    "withdrawals": {"change_number": 99},
    "erasures": {"erasure_number": 99, "subject_hash": sha("f")},
    "erased_rows": {"commitment": b"f" * 32},
    "event_log": {"event_number": 99, "previous_sha256": sha("9")},
}

# (table, guard) -> (row of the world, what is changed in a copy of it that is another row).
PROBES: dict[tuple[str, str], tuple[str, Row]] = {
    ("audits", "key"): ("audit", {"audit_id": "audit", "verdict": "fail"}),
    ("audits", "kind_is_known"): ("audit", {"kind": "person"}),
    ("audits", "verdict_is_known"): ("audit", {"verdict": "perhaps"}),
    ("approvals", "key"): ("approval", {"approval_id": "by_gate", "model_sha256": sha("9")}),
    ("approvals", "is_of_a_model"): (
        "approval",
        {"audit_id": "audit", "evidence_sha256": sha("b"), "audit_kind": "generation"},
    ),
    ("approvals", "request_id_is_said"): ("people", {"request_id": ""}),
    ("approvals", "decision_is_known"): ("people", {"decision": "perhaps"}),
    ("approvals", "grounds_are_known"): ("approval", {"grounds": "somebody"}),
    ("approvals", "gate_approves_a_pass"): ("approval", {"decision": "rejected"}),
    ("approvals", "people_are_asked"): ("people", {"request_id": "none"}),
    ("approvals", "people_decide_for_a_time"): ("people", {"expires_at": None}),
    ("approvals", "audit"): ("approval", {"audit_id": "nowhere"}),
    ("releases", "key"): ("release", {"release_id": "risk_release", "task": "direction"}),
    ("releases", "task is required"): ("volatility", {"task": None}),
    ("releases", "task_is_known"): ("volatility", {"task": "price"}),
    ("releases", "threshold_fits_task"): ("release", {"threshold": None}),
    ("releases", "is_approved"): (
        "release",
        RELEASED_BY_PEOPLE | {"approval_id": "no", "approval_decision": "rejected"},
    ),
    ("releases", "approval"): ("release", {"model_sha256": sha("7")}),
    ("releases", "approval_ends"): (
        "quantiles",
        {"approval_id": "free_people", "approval_expires_at": LATER + timedelta(days=1)},
    ),
    ("releases", "people_approve_for_a_time"): (
        "quantiles",
        {"approval_id": "free_people", "approval_expires_at": None},
    ),
    ("releases", "made_in_time"): (
        "quantiles",
        {"approval_id": "free_people", "created_at": LATER},
    ),
    ("releases", "one_per_approval"): ("release", {"approval_id": "by_gate"}),
    ("publications", "key"): (
        "publication",
        {"generation_id": "risk_1", "study": "other", "release_id": "other_release"},
    ),
    ("publications", "is_of_a_generation"): (
        "publication",
        {"audit_id": "model_audit", "evidence_sha256": sha("a"), "audit_kind": "model"},
    ),
    ("publications", "audit_passed"): (
        "publication",
        {"audit_id": "failed", "evidence_sha256": sha("c"), "audit_verdict": "fail"},
    ),
    ("publications", "has_rows"): ("publication", {"row_count": 0}),
    ("publications", "number_once"): ("publication", {"generation_number": 1}),
    ("publications", "release"): ("publication", {"release_id": "none"}),
    ("publications", "audit"): ("publication", {"audit_id": "nowhere"}),
    ("predictions", "key"): ("prediction", {"subject_id": 1}),
    ("predictions", "task is required"): ("volatile prediction", {"task": None}),
    ("predictions", "score_is_finite"): ("prediction", {"score": float("nan")}),
    ("predictions", "length_is_no_debt"): ("prediction", {"sequence_length": -1}),
    ("predictions", "share_is_a_share"): ("prediction", {"share_missing": 1.01}),
    ("predictions", "split_is_known"): ("prediction", {"split": "holdout"}),
    ("predictions", "names_fit_task"): ("prediction", {"instrument": "a patient's name"}),
    ("predictions", "interval_stands"): ("prediction", {"score_low": 0.9}),
    ("predictions", "scores_fit_task"): ("prediction", {"score_high": 1.01}),
    ("predictions", "decision_fits_task"): ("prediction", {"decision": False}),
    ("predictions", "quantiles_fit_task"): ("quantile prediction", {"quantile_50": None}),
    ("predictions", "price_fits_task"): ("quantile prediction", {"last_price": 0.0}),
    ("predictions", "reasons_have_a_method"): ("prediction", {"reason_method": "occlusion"}),
    ("predictions", "reasons_are_whole"): (
        "prediction",
        {"reason_1_channel": "hdl", "reason_method": "occlusion"},
    ),
    ("predictions", "reasons_are_named"): (
        "prediction",
        {"reason_1_channel": "", "reason_1_contribution": 0.5, "reason_method": "occlusion"},
    ),
    ("predictions", "reasons_are_in_order"): (
        "volatile prediction",
        {"reason_3_channel": "hdl", "reason_3_contribution": 0.1},
    ),
    ("predictions", "reasons_are_finite"): (
        "volatile prediction",
        {"reason_1_days_before": -1.0},
    ),
    ("predictions", "row_key_is_a_key"): ("prediction", {"row_key": b"short"}),
    ("predictions", "commitment_is_sha256"): ("prediction", {"commitment": b"short"}),
    ("predictions", "publication"): ("prediction", {"release_id": "volatility_release"}),
    ("withdrawals", "key"): ("withdrawal", {"change_number": 1}),
    ("withdrawals", "state_is_known"): ("withdrawal", {"state": "hidden"}),
    ("withdrawals", "publication"): ("withdrawal", {"study": "other"}),
    ("erasures", "key"): ("erasure", {"erasure_number": 1001, "study": "other"}),
    ("erasures", "once"): ("erasure", {"subject_hash": sha("e")}),
    ("erasures", "rows_are_no_debt"): ("erasure", {"row_count": -1}),
    ("erased_rows", "key"): ("erased row", {"commitment": b"e" * 32}),
    ("erased_rows", "commitment_is_sha256"): ("erased row", {"commitment": b"short"}),
    ("erased_rows", "publication"): ("erased row", {"generation_id": "none"}),
    ("erased_rows", "erasure"): ("erased row", {"erasure_number": 77}),
    ("event_log", "key"): ("event", {"event_number": 1}),
    ("event_log", "one_follows_one"): ("event", {"previous_sha256": sha("0")}),
}
# Guards that others stand on: a database refuses to drop them while those are there.
HELD = {
    ("audits", "judged"),
    ("approvals", "decided"),
    ("approvals", "ends"),
    ("releases", "predicts"),
    ("publications", "predicts"),
    ("publications", "study_once"),
    ("erasures", "study_once"),
}


def guards() -> list[tuple[str, str]]:
    """Every (table, guard) of the contract; NOT NULL is one of its column."""
    return [
        (table.name, guard)
        for table in CONTRACT
        for guard in ("key", *(f"{name} is required" for name in table.required), *table.guards)
    ]


def probe(table: str, guard: str) -> Row:
    """The row that this guard alone refuses."""
    first = next(name for name, (of, _) in WORLD.items() if of == table)
    base, change = PROBES.get((table, guard), (first, {}))
    if not change:
        column, _, ending = guard.rpartition("_is_" if "_is_" in guard else " is ")
        change = {column: {"required": None, "said": "", "sha256": "short"}[ending]}
    return WORLD[base][1] | ANOTHER[table] | change
