"""score_subjects: the release that stands scores everybody eligible of a shard."""

from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts
from pipelines.domains import load_domain
from pipelines.errors import ArtefactCorrupt
from pipelines.manifests import hash_file
from pipelines.releases import Release
from pipelines.score_recipes import ScoreRecipes
from pipelines.shard_parts import run_shard
from pipelines.shards import WHOLE, Shard
from pipelines.splits import SPLIT_NAMES, SPLITS, SplitSection, WalkForward
from pipelines.stage import open_inputs
from pipelines.stages.predict_holdout import scores_of_shard
from validation.evidence import load_evidence
from validation.mitigation.records import THRESHOLD
from validation.mitigation.table import thresholds_of


def score_subjects(study: str, sequences: str, shard: str = str(WHOLE)) -> str:
    """Score with the release in the store, whatever event or person started this run.

    Returns the key of the shard's scores, or that of all shards merged if it is there.

    Args:
        sequences: the merged sequences.
        shard: which of how many, such as 0/1.

    Raises:
        NoRelease: no release stands that the study as it is now may use.
        ArtefactCorrupt: the released model is not the one that was audited.
    """
    part, recipes = Shard.read(shard), ScoreRecipes.of(study, sequences)
    return run_shard(study, recipes, part, lambda draft: _write(recipes, part, draft))


def _write(recipes: ScoreRecipes, shard: Shard, draft: Path) -> Counts:
    spec, release, inputs = recipes.spec, recipes.release, open_inputs(recipes.inputs)
    scored = _scored(inputs, shard)
    if "is_current" in scored.columns:
        scored = scored.filter("is_current").drop("is_current")
    if scored.height:
        shown = load_domain(spec.domain).published(spec.records, scored)
        shown = _with_split(shown, inputs["trained_on"], spec.split, shard)
        scored = _with_thresholds(shown, inputs["audit"], release)
    scored.write_parquet(draft / "scores.parquet")
    return {"subjects": scored.height}


def _scored(inputs: dict[str, Path], shard: Shard) -> pl.DataFrame:
    """The examples of a shard with the model's own columns; without these where it has nobody."""
    own = pl.col("subject_id").is_between(*shard.subject_ids)
    examples = pl.scan_parquet(inputs["sequences"] / "examples.parquet").drop("split").filter(own)
    columns = scores_of_shard(inputs["sequences"], inputs["model"], *shard.subject_ids)
    return examples.collect().hstack(pl.DataFrame(columns))


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
    scored: pl.DataFrame, trained_on: Path, split: SplitSection, shard: Shard
) -> pl.DataFrame:
    """Add ``split``: where the model met the row's subject, or the row's time, in its training."""
    examples = pl.scan_parquet(trained_on / "examples.parquet")
    if isinstance(split, WalkForward):
        part = pl.lit(-1, pl.Int8)
        times = examples.select("split", "index_time").collect()
        for number in range(len(SPLITS)):
            met_at = times.filter(pl.col("split") == number)["index_time"]
            inside = pl.col("index_time").is_between(pl.lit(met_at.min()), pl.lit(met_at.max()))
            part = pl.when(inside).then(pl.lit(number, pl.Int8)).otherwise(part)
        met = scored.with_columns(split=part)
    else:
        own = pl.col("subject_id").is_between(*shard.subject_ids)
        people = examples.filter(own).select("subject_id", "split").collect()
        met = scored.join(people, on="subject_id", how="left", maintain_order="left")
    name = pl.col("split").fill_null(-1).replace_strict(SPLIT_NAMES, return_dtype=pl.String)
    return met.with_columns(split=name)
