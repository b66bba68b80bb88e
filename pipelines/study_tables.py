"""A study's summary as tables for people."""

from pipelines.approvals.tables import COLUMNS, request_rows
from pipelines.console import print_table
from pipelines.study_summary import AuditSummary, StudySummary
from validation.estimates import Estimate
from validation.interval_words import interval_words
from validation.tasks import Task


def print_summary(summary: StudySummary) -> None:
    """Print every part that there is, under its name."""
    _print_releases(summary)
    if summary.approvals:
        print("\napprovals")
        print_table(COLUMNS[1:], [row[1:] for row in request_rows(summary.approvals)])
    if summary.audit:
        _print_audit(summary.audit)
    _print_generations(summary)
    if summary.rows:
        print("\nrows of the newest ingestion")
        names = tuple(name.replace("_", " ") for name in summary.rows)
        print_table(names, [[f"{count:,}" for count in summary.rows.values()]])
    print()
    for name, path in summary.paths.items():
        print(f"{name}: {path}")


def _print_releases(summary: StudySummary) -> None:
    print(f"releases of {summary.study}" if summary.releases else f"{summary.study}: no release")
    if summary.releases:
        rows = [
            (
                listed.release.release_id,
                listed.state,
                listed.release.verdict,
                f"{listed.release.created_at:%Y-%m-%d %H:%M}",
                f"{listed.reason} ({listed.by})",
            )
            for listed in summary.releases
        ]
        print_table(("release", "state", "verdict", "created (UTC)", "why"), rows)


def _print_audit(audit: AuditSummary) -> None:
    print(f"\nnewest audit {audit.key}: {audit.verdict}")
    if audit.smaller_model:
        print(f"  of a smaller form of the trained model: {audit.smaller_model}")
    for reason in audit.reasons:
        print(f"  {reason}")
    rows = [
        (population, metric, _interval(estimate, audit.task))
        for population, metrics in audit.metrics.items()
        for metric, estimate in metrics.items()
    ]
    print_table(("population", "metric", "value (95 % interval)"), rows)


def _print_generations(summary: StudySummary) -> None:
    print("\npublished predictions" if summary.generations else "\nnothing published")
    if summary.generations:
        rows = [
            (
                generation.generation_id,
                "current" if generation.is_current else generation.state,
                f"{generation.as_of:%Y-%m-%d}",
                f"{generation.published_at:%Y-%m-%d %H:%M}",
                f"{generation.row_count:,}",
            )
            for generation in summary.generations
        ]
        print_table(("generation", "state", "as of", "published (UTC)", "rows"), rows)


def _interval(estimate: Estimate, task: Task) -> str:
    if estimate.value is None:
        return estimate.reason or "cannot tell"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return interval_words(estimate.value, estimate.low, estimate.high, task)
