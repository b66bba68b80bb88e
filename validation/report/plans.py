"""What stands around a model: its outcome, what is watched after release, its inventory entry."""

import json
from dataclasses import dataclass
from typing import Any

from validation.config import AuditConfig, PredictionLimits
from validation.declaration import Declaration
from validation.evidence import Evidence
from validation.policy_hash import policy_sha256
from validation.prediction_gate import (
    BAD_OF_TASK,
    MISSING,
    OUTSIDE,
    ROWS,
    SELECTION_CHANGE,
    SHIFT,
    UNKNOWN_CODES,
    repeated_of,
)
from validation.report.formatting import Unit, count, number
from validation.report.names import measurement

_SHARE = Unit(1, 100.0, " %")


# ---- the outcome -----------------------------------------------------------------------------

ASPECTS: tuple[tuple[str, str], ...] = (
    ("outcome", "Outcome"),
    ("horizon", "Horizon"),
    ("index", "Moment of the prediction"),
    ("censoring", "Censoring"),
    ("source", "Source of the records"),
)


def outcome_rows(evidence: Evidence) -> list[tuple[str, str | None]]:
    """What the study declares of its outcome, a missing aspect as None."""
    declared = evidence.declared or Declaration()
    unknown = "When it is not known" if evidence.policy.is_forecast else "Who is censored"
    return [
        (unknown if name == "censoring" else title, getattr(declared, name))
        for name, title in ASPECTS
    ]


# ---- monitoring ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watch:
    """One measurement of every generation of predictions and the limit that it must keep."""

    what: str
    limit: str
    detail: str = ""


def monitoring_plan(policy: AuditConfig) -> list[Watch]:
    """What audit_predictions measures on each generation before it is published."""
    limits = policy.predictions
    watched = [
        Watch(measurement(ROWS), f"at least {count(limits.minimum_rows)}"),
        Watch(measurement(BAD_OF_TASK[policy.task]), "none"),
        Watch(measurement(repeated_of(policy)), "none"),
        Watch(
            measurement(UNKNOWN_CODES), f"at most {number(limits.max_unknown_code_share, _SHARE)}"
        ),
        Watch(measurement(MISSING), f"at most {number(limits.max_missing_share, _SHARE)}"),
    ]
    return [*watched, *_drift(limits)]


def _drift(limits: PredictionLimits) -> list[Watch]:
    found = []
    if limits.max_score_shift_psi is not None:
        about = f"against the scores of the release, in {limits.psi_bins} bins"
        found.append(
            Watch(measurement(SHIFT), f"at most {number(limits.max_score_shift_psi)}", about)
        )
    if limits.max_outside_share is not None:
        limit = f"at most {number(limits.max_outside_share, _SHARE)}"
        found.append(Watch(measurement(OUTSIDE), limit, "the inner 99.8 % of the release's"))
    if limits.max_selection_rate_change is not None:
        points = number(limits.max_selection_rate_change, Unit(1, 100.0, " points"))
        about = f"overall and in every group of {count(limits.minimum_group_subjects)} or more"
        found.append(Watch(measurement(SELECTION_CHANGE), f"at most {points}", about))
    return found


# ---- the inventory ---------------------------------------------------------------------------


def inventory_entry(evidence: Evidence, audit_key: str | None) -> dict[str, Any]:
    """The model as one record for an inventory; what the evidence does not say is null."""
    declared, gate = evidence.declared or Declaration(), evidence.gate
    model = next((each for each in evidence.lineage if each.stage == "train_model"), None)
    name, _, title = evidence.study.partition(": ")
    return {
        "study": name,
        "title": title or None,
        "owner": declared.owner,
        "domain": declared.domain,
        "task": evidence.policy.task,
        "intended_use": evidence.intended_use,
        "outcome": declared.outcome,
        "model": {
            "architecture": evidence.model.architecture if evidence.model else None,
            "artefact": model.key if model else None,
            "sha256": model.sha256 if model else None,
        },
        "predictions_sha256": (
            evidence.prediction_source.sha256 if evidence.prediction_source else None
        ),
        "policy_sha256": policy_sha256(evidence.policy),
        "audit": audit_key,
        "verdict": gate.verdict if gate else None,
        "decision": gate.decision if gate else None,
        "gating_lines": {line.line: line.verdict for line in gate.lines} if gate else {},
        "approvers": evidence.policy.approval.approvers,
        "schedule": declared.schedule,
        "is_point_in_time": evidence.is_point_in_time,
        "trials": evidence.overfitting.trials if evidence.overfitting else None,
    }


def inventory_text(evidence: Evidence, audit_key: str | None) -> str:
    """The entry as JSON, the same bytes for the same evidence."""
    return json.dumps(inventory_entry(evidence, audit_key), ensure_ascii=False, indent=2)
