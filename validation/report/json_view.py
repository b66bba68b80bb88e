"""The report as JSON: the first page, the index, the inventory entry, what profiles cover."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from validation.evidence import Evidence
from validation.profiles.coverage import Coverage, coverage_of
from validation.profiles.reading import Profile
from validation.report.change_words import comparison
from validation.report.closing import why_closed
from validation.report.comparing import Change
from validation.report.deciding import limits_words
from validation.report.evidence_index import IndexRow, as_json, evidence_index
from validation.report.headlines import headlines
from validation.report.layouts import sections_of
from validation.report.limits import cannot_tell
from validation.report.page_one import COMMAND
from validation.report.plans import inventory_entry
from validation.report.verdicts import model_verdict


def report_model(
    evidence: Evidence,
    previous: Evidence | None,
    audit_key: str | None,
    profiles: Sequence[Profile],
) -> dict[str, Any]:
    """All that report.json says; numbers as the evidence has them, and as the page writes them."""
    verdict, compared = model_verdict(evidence), comparison(previous, evidence)
    sections = sections_of(evidence.policy.task, any_change=bool(compared.changes))
    anchors, raw = [anchor for anchor, *_ in sections], as_json(evidence)
    return {
        "study": evidence.study,
        "verdict": {"kind": verdict.kind, "title": verdict.title, "words": verdict.words},
        "what_follows": list(verdict.follows),
        "since_the_last_audit": {
            "words": list(compared.sentences),
            "changes": [_change(change) for change in compared.changes],
        },
        "limits": limits_words(evidence.limits_order),
        "headlines": {said.title: said.words for said in headlines(evidence)},
        "why_closed": why_closed(evidence),
        "cannot_tell": cannot_tell(evidence),
        "gate": None if evidence.gate is None else evidence.gate.model_dump(mode="json"),
        "index": [_row(row) for row in evidence_index(evidence, raw, previous)],
        "recompute": f"{COMMAND} evidence.json",
        "inventory": inventory_entry(evidence, audit_key),
        "profiles": [_profile(found) for found in coverage_of(profiles, raw, anchors)],
    }


def report_text(model: dict[str, Any]) -> str:
    """The same bytes for the same evidence; a NaN is refused with ValueError."""
    return json.dumps(model, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def _change(change: Change) -> dict[str, Any]:
    found = {
        name: value.model_dump(mode="json") if hasattr(value, "model_dump") else value
        for name, value in vars(change).items()
    }
    return found | {"significant": change.significant}


def _row(row: IndexRow) -> dict[str, Any]:
    return asdict(row.figure) | {"source": asdict(row.source)}


def _profile(found: Coverage) -> dict[str, Any]:
    return {
        "id": found.profile.id,
        "title": found.profile.title,
        "source": found.profile.source,
        "rule_date": found.profile.rule_date.isoformat(),
        "concerns_this_study": found.concerns,
        "asked": found.asked if found.concerns else None,
        "covered": found.covered if found.concerns else None,
        "share": found.share,
        "items": {each.item.id: each.state for each in found.items} if found.concerns else {},
    }
