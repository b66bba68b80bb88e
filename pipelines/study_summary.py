"""What stands of a study: its releases, its newest audit, its published generations."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.approvals.request import ListedRequest
from pipelines.approvals.requests import list_requests
from pipelines.compression import smaller_model_of
from pipelines.errors import ArtefactCorrupt
from pipelines.journal import JournalEntry, read_entries
from pipelines.publication.contract import ListedGeneration
from pipelines.publication.store import open_store
from pipelines.releases import ListedRelease, list_releases
from pipelines.run_summary import paths_of
from pipelines.settings import settings
from pipelines.stage import store
from validation.disclosure.view import for_readers
from validation.estimates import Estimate, VerdictName
from validation.evidence import load_evidence
from validation.tasks import Task


class AuditSummary(BaseModel):
    """The newest audit of a model: its verdict, and its metrics by population, overall.

    smaller_model: key of the model where `equipoise compress` made it; None of a trained one. That
    it was audited does not say that it was released.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    smaller_model: str | None
    task: Task
    verdict: VerdictName | None
    reasons: tuple[str, ...]
    metrics: dict[str, dict[str, Estimate]]
    report: Path


class StudySummary(BaseModel):
    """All that ``equipoise show`` tells; ``rows`` are the counts of the newest ingestion."""

    model_config = ConfigDict(frozen=True)

    study: str
    releases: tuple[ListedRelease, ...]
    approvals: tuple[ListedRequest, ...]
    audit: AuditSummary | None
    generations: tuple[ListedGeneration, ...]
    rows: dict[str, int]
    paths: dict[str, Path]


def summarise(study: str) -> StudySummary:
    """Read what stands; empty parts are of a study that has not come so far.

    Raises:
        ArtefactCorrupt: a file of the newest audit is not the one that was written, or of
            another version.
    """
    newest = {entry.stage: entry for entry in read_entries(study)}
    ingested = newest.get("merge_events")
    return StudySummary(
        study=study,
        releases=list_releases(study),
        approvals=list_requests(study),
        audit=_audit(newest.get("audit_model")),
        generations=open_store(settings()).list_generations(study),
        rows=ingested.counts if ingested else {},
        paths=paths_of(newest.values()),
    )


def _audit(entry: JournalEntry | None) -> AuditSummary | None:
    if entry is None or not store().has(entry.key):
        return None
    folder = store().open(entry.key)
    try:
        evidence = for_readers(load_evidence(folder / "evidence.json"))
    except ValueError:
        raise ArtefactCorrupt(
            f"The evidence of {entry.key} is not what this version of Equipoise writes.",
            where=str(folder / "evidence.json"),
            remedy=f"Audit anew: equipoise run {entry.study}",
        ) from None
    return AuditSummary(
        key=entry.key,
        smaller_model=smaller_model_of(entry.key),
        task=evidence.policy.task,
        verdict=evidence.gate.verdict if evidence.gate else None,
        reasons=evidence.gate.reasons if evidence.gate else (),
        metrics={
            str(population.population): {
                str(name): estimate for name, estimate in population.overall.metrics.items()
            }
            for population in evidence.populations
        },
        report=folder / "report.html",
    )
