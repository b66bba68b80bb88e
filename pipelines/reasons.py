"""Why one subject has its score: found among what is published, explained, written as a page."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.errors import SourceMissing, SubjectUnknown
from pipelines.journal import read_entries
from pipelines.publication.crosswalk import read_crosswalk
from pipelines.publication.store import open_store
from pipelines.publication.subject_pages import write_subject_page
from pipelines.settings import settings
from pipelines.stage import open_inputs, store
from pipelines.stages.explain_predictions import scored_rows
from validation.report.why import SubjectPage, render_subject_page

# What a table's subject_id can be.
NUMBERS = range(-(2**63), 2**63)


def subject_of(study: str, source_id: str) -> int:
    """The pseudonym of a source's id, from the crosswalk, which its owner alone can read.

    Raises:
        SourceMissing: the study has no crosswalk.
        SubjectUnknown: it does not know the id.
    """
    pairs = read_crosswalk(study, settings()).filter(pl.col("source_id") == source_id)
    if pairs.is_empty():
        raise _unknown(study, f"the crosswalk of {study}")
    return int(pairs["subject_id"].item())


def write_page(study: str, subject: int) -> Path:
    """Write the page of a subject's current prediction; its path.

    Raises:
        SubjectUnknown: the study's current predictions have no such subject.
        SourceMissing: nothing is published, or what is published was never explained.
        ArtefactCorrupt: a file that the prediction rests on is gone or altered.
    """
    if subject not in NUMBERS:
        raise _unknown(study, f"the current predictions of {study}")
    published = open_store(settings()).read_current(study).filter(pl.col("subject_id") == subject)
    if published.is_empty():
        raise _unknown(study, f"the current predictions of {study}")
    row = published.row(0, named=True)
    explanation = _explanation_of(study, row["scores_key"])
    folder = store().open(explanation)
    measured = json.loads((folder / "faithfulness.json").read_text())["measured"]
    page = SubjectPage.judged(
        measured,
        lambda: _explained(explanation, subject),
        study=study,
        task=row["task"],
        subject=str(subject),
        facts=_facts(row),
    )
    return write_subject_page(study, subject, render_subject_page(page), settings())


def _explanation_of(study: str, scores: str) -> str:
    """The newest explanation of the very scores that are published."""
    made = [entry.key for entry in read_entries(study) if entry.stage == "explain_predictions"]
    for key in reversed(made):
        if store().has(key) and store().manifest(key)["recipe"]["inputs"]["scores"] == scores:
            return key
    raise SourceMissing(
        f"The current predictions of {study} were never explained.",
        where=str(settings().artefacts_dir / "explain_predictions"),
        remedy=f"Score and publish again: equipoise run {study}",
    )


def _explained(explanation: str, subject: int) -> dict[str, Any] | None:
    # torch: only whoever explains pays for it.
    from models.explanations.explained import ExplanationImpossible
    from models.explanations.explaining import explained_subject

    keys = store().manifest(explanation)["recipe"]["inputs"]
    inputs = open_inputs({name: keys[name] for name in ("sequences", "model")})
    chosen = scored_rows(inputs["sequences"], pl.DataFrame({"subject_id": [subject]}))
    try:
        return explained_subject(inputs["sequences"], inputs["model"], int(chosen[0]))
    except ExplanationImpossible:
        return None


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """What the table says of the prediction, in words; no feature of the subject is among it."""
    said = [
        ("Score", f"{row['score_calibrated']:.4g}"),
        ("Interval", f"{row['score_low']:.4g} to {row['score_high']:.4g}")
        if row["score_low"] is not None and row["score_high"] is not None
        else None,
        ("Threshold", f"{row['threshold']:.4g}") if row["threshold"] is not None else None,
        ("Decision", "selected" if row["decision"] else "not selected")
        if row["decision"] is not None
        else None,
        ("Instrument", row["instrument"]) if row["instrument"] else None,
        ("Index time", f"{row['index_time']:%Y-%m-%d %H:%M} UTC"),
        ("Time steps read", f"{row['sequence_length']:,}"),
        ("Release", row["release_id"]),
        ("Generation", row["generation_id"]),
    ]
    return [fact for fact in said if fact is not None]


def _unknown(study: str, where: str) -> SubjectUnknown:
    # Who was asked for is a person: it is not said again.
    return SubjectUnknown(
        f"{study} has no prediction of this subject: unknown, erased, withdrawn or not eligible.",
        where=where,
        remedy="Give the subject_id as the tables have it, or --source-id and the source's own.",
    )
