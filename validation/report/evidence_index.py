"""The index of the first page: each of its numbers, where it lies, and what it was made from."""

import json
from dataclasses import dataclass
from typing import Any

from validation.evidence import Evidence
from validation.policy_hash import policy_sha256
from validation.report.figures import Figure
from validation.report.page_one import recompute


@dataclass(frozen=True)
class Source:
    """An artefact, or the record, that a number was made from."""

    name: str
    sha256: str | None


@dataclass(frozen=True)
class IndexRow:
    figure: Figure
    source: Source


def evidence_index(
    evidence: Evidence, raw: dict[str, Any], previous: Evidence | None
) -> list[IndexRow]:
    """Every number of page one with its source, in the order of the page; raw: of evidence.json."""
    before = None if previous is None else as_json(previous)
    return [IndexRow(figure, source_of(figure.path, evidence)) for figure in recompute(raw, before)]


def as_json(evidence: Evidence) -> dict[str, Any]:
    """What evidence.json holds."""
    found: dict[str, Any] = json.loads(evidence.model_dump_json())
    return found


def source_of(path: str, evidence: Evidence) -> Source:
    """What a path of the evidence rests on: a ledger, the policy, or the scored predictions."""
    if "overfitting." in path:
        ledger = evidence.overfitting.ledger_sha256 if evidence.overfitting else None
        return Source("trial ledger", ledger)
    if path.startswith("limits_order"):
        order = evidence.limits_order
        return Source("record of limits", order.policy_sha256 if order else None)
    if path.startswith("policy") or path.endswith(".lower, upper"):
        return Source("the study's policy", policy_sha256(evidence.policy))
    if evidence.prediction_source is None:
        return Source("predictions, not named", None)
    stage, _, _ = evidence.prediction_source.key.partition("/")
    return Source(stage, evidence.prediction_source.sha256)
