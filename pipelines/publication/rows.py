"""The rows of each table as a publication says them: column -> value, the same for both stores."""

import json
from datetime import UTC, datetime

from pipelines.approvals.record import ApprovalRecord
from pipelines.publication.contract import AuditReference, Publication
from pipelines.releases import Release

Row = dict[str, object]


def audit_row(study: str, kind: str, audit: AuditReference) -> Row:
    """The audit with its verdict, whatever this is; ``kind`` is model or generation."""
    return audit.model_dump() | {"study": study, "kind": kind, "recorded_at": datetime.now(UTC)}


def approved_audit(approval: ApprovalRecord) -> AuditReference:
    """The audit that the approval decides on."""
    return AuditReference(
        audit_id=approval.audit_key,
        verdict=approval.verdict,
        evidence_sha256=approval.evidence_sha256,
    )


def approval_row(approval: ApprovalRecord) -> Row:
    """``decided_by`` is a JSON list of names, in the order of answering."""
    content = approval.model_dump(exclude={"audit_key", "verdict"})
    return content | {
        "audit_id": approval.audit_key,
        "audit_kind": "model",
        "audit_verdict": approval.verdict,
        "decided_by": json.dumps(approval.decided_by),
    }


def release_row(release: Release, task: str) -> Row:
    """The records that it was trained under are in its name; the table has no column for them."""
    unsaid = {"records_sha256", "approval", "audit_key", "audit_sha256", "verdict"}
    return release.model_dump(exclude=unsaid) | {
        "task": task,
        "audit_id": release.audit_key,
        "evidence_sha256": release.audit_sha256,
        "audit_verdict": release.verdict,
        "data_sha256": release.approval.data_sha256,
        "approval_id": release.approval.approval_id,
        "approval_grounds": release.approval.grounds,
        "approval_decision": release.approval.decision,
        "approval_expires_at": release.approval.expires_at,
    }


def publication_row(
    publication: Publication, *, task: str, published_at: datetime, row_count: int, digest: str
) -> Row:
    """All but ``generation_number``, which the store counts."""
    return {
        "generation_id": publication.generation_id,
        "study": publication.study,
        "release_id": publication.release.release_id,
        "task": task,
        "audit_id": publication.audit.audit_id,
        "evidence_sha256": publication.audit.evidence_sha256,
        "audit_kind": "generation",
        "audit_verdict": publication.audit.verdict,
        "scores_key": publication.scores_key,
        "events_key": publication.events_key,
        "sequences_key": publication.sequences_key,
        "as_of": publication.as_of,
        "published_at": published_at,
        "row_count": row_count,
        "rows_digest": digest,
    }
