"""score_subjects: the release that stands scores everybody eligible."""

import json
from pathlib import Path

import polars as pl

from models.compression.registry import FORM_MODULES
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, hash_file
from pipelines.domains import load_domain, source_module
from pipelines.errors import ArtefactCorrupt
from pipelines.provenance import standing_release
from pipelines.releases import Release
from pipelines.splits import SPLIT_NAMES, SPLITS, DeclaredSplit, GroupedSplit, WalkForward
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage
from pipelines.stages.predict_holdout import scores_of
from pipelines.study import Study, load_study
from validation.evidence import load_evidence
from validation.mitigation.records import THRESHOLD
from validation.mitigation.table import thresholds_of


def score_subjects(study: str, sequences: str) -> str:
    """Score with the release in the store, whatever event or person started this run.

    Raises:
        NoRelease: no release stands that the study as it is now may use.
        ArtefactCorrupt: the released model is not the one that was audited.
    """
    spec = load_study(study)
    release = standing_release(spec)
    inputs = {
        "sequences": sequences,
        "model": release.model_key,
        "trained_on": release.sequences_key,
        "audit": release.audit_key,
    }
    recipe = recipe_of(
        "score_subjects",
        config={
            "release_id": release.release_id,
            "domain": spec.domain,
            "records": spec.records.model_dump(mode="json"),
            "split": spec.split.kind,
        },
        inputs=inputs,
        libraries=(
            "polars",
            "numpy",
            "torch",
            "onnxruntime",
            "torchao",
            *load_domain(spec.domain).LIBRARIES,
        ),
        modules=(
            "models.scoring",
            *FORM_MODULES,
            *ENCODER_MODULES,
            source_module(spec.domain),
        ),
        device=device_class(),
    )
    return run_stage(
        study, recipe, lambda draft: _write(spec, release, open_inputs(inputs), draft)
    ).key


def _write(spec: Study, release: Release, inputs: dict[str, Path], draft: Path) -> Counts:
    examples = pl.read_parquet(inputs["sequences"] / "examples.parquet").drop("split")
    trained_on = pl.read_parquet(inputs["trained_on"] / "examples.parquet")
    columns = scores_of(inputs["sequences"], inputs["model"])
    own = {name: values for name, values in columns.items() if name.startswith(("score", "seed"))}
    scored = examples.hstack(pl.DataFrame(own))
    if "is_current" in scored.columns:
        scored = scored.filter("is_current").drop("is_current")
    shown = load_domain(spec.domain).published(spec.records, scored)
    shown = _with_split(shown, trained_on, spec.split)
    shown = _with_thresholds(shown, inputs["audit"], release)
    shown.write_parquet(draft / "scores.parquet")
    (draft / "release.json").write_text(json.dumps({"release_id": release.release_id}))
    if release.threshold is None:
        return {"subjects": shown.height}
    limit = pl.col(THRESHOLD) if THRESHOLD in shown.columns else release.threshold
    selected = shown.select((pl.col("score_calibrated") >= limit).sum()).item()
    return {"subjects": shown.height, "selected": int(selected)}


def _with_thresholds(scored: pl.DataFrame, audit: Path, release: Release) -> pl.DataFrame:
    """Add each subject's own threshold, where the audit that was released has a table of them.

    Raises ArtefactCorrupt where the evidence is not the one that was released, or a group's
    threshold needs an attribute that is not known of those who are scored.
    """
    evidence = audit / "evidence.json"
    if hash_file(evidence) != release.audit_sha256:
        raise _not_as_audited(evidence, "The evidence is not the one that was released.")
    told = load_evidence(evidence).mitigation
    if told is None or told.table is None:
        return scored
    if told.table.attribute not in scored.columns:
        raise _not_as_audited(evidence, f"Nobody's {told.table.attribute} is known at scoring.")
    limits = thresholds_of(scored[told.table.attribute], told.table)
    return scored.with_columns(pl.Series(THRESHOLD, limits))


def _not_as_audited(evidence: Path, cause: str) -> ArtefactCorrupt:
    return ArtefactCorrupt(
        cause,
        where=str(evidence),
        remedy="Train again: nobody may be decided on otherwise than was audited.",
    )


def _with_split(
    scored: pl.DataFrame,
    trained_on: pl.DataFrame,
    split: GroupedSplit | DeclaredSplit | WalkForward,
) -> pl.DataFrame:
    """Add ``split``: where the model met the row's subject, or the row's time, in its training."""
    if isinstance(split, WalkForward):
        part = pl.lit(-1, pl.Int8)
        for number in range(len(SPLITS)):
            times = trained_on.filter(pl.col("split") == number)["index_time"]
            inside = pl.col("index_time").is_between(pl.lit(times.min()), pl.lit(times.max()))
            part = pl.when(inside).then(pl.lit(number, pl.Int8)).otherwise(part)
        met = scored.with_columns(split=part)
    else:
        people = trained_on.select("subject_id", "split")
        met = scored.join(people, on="subject_id", how="left", maintain_order="left")
    name = pl.col("split").fill_null(-1).replace_strict(SPLIT_NAMES, return_dtype=pl.String)
    return met.with_columns(split=name)
