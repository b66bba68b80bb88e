"""score_subjects: the release that stands scores everybody eligible."""

import json
from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts
from pipelines.provenance import standing_release
from pipelines.releases import Release
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage
from pipelines.stages.predict_holdout import SPLIT_NAMES, scores_of
from pipelines.study import load_study

# The networks of different seeds agree within this many standard deviations, nineteen in twenty.
BAND_IN_STANDARD_DEVIATIONS = 1.96


def score_subjects(study: str, sequences: str) -> str:
    """Score with the release in the store, whatever event or person started this run.

    Raises:
        NoRelease: no release stands that the study as it is now may use.
        ArtefactCorrupt: the released model is not the one that was audited.
    """
    release = standing_release(load_study(study))
    inputs = {
        "sequences": sequences,
        "model": release.model_key,
        "trained_on": release.sequences_key,
    }
    recipe = recipe_of(
        "score_subjects",
        config={"release_id": release.release_id},
        inputs=inputs,
        libraries=("polars", "numpy", "torch"),
        modules=("models.scoring",),
        device=device_class(),
    )
    return run_stage(study, recipe, lambda draft: _write(release, open_inputs(inputs), draft)).key


def _write(release: Release, inputs: dict[str, Path], draft: Path) -> Counts:
    examples = pl.read_parquet(inputs["sequences"] / "examples.parquet").drop("split")
    trained_on = pl.read_parquet(inputs["trained_on"] / "examples.parquet")
    columns = scores_of(inputs["sequences"], inputs["model"])
    own = {name: columns[name] for name in ("score", "score_raw", "seed_spread")}
    band = BAND_IN_STANDARD_DEVIATIONS * pl.col("seed_spread")
    scored = (
        examples.hstack(pl.DataFrame(own))
        .with_columns(
            score_low=(pl.col("score") - band).clip(0, 1),
            score_high=(pl.col("score") + band).clip(0, 1),
        )
        .join(
            trained_on.select("subject_id", "split"),
            on="subject_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(
            pl.col("split").fill_null(-1).replace_strict(SPLIT_NAMES, return_dtype=pl.String)
        )
    )
    scored.write_parquet(draft / "scores.parquet")
    (draft / "release.json").write_text(json.dumps({"release_id": release.release_id}))
    return {
        "subjects": scored.height,
        "selected": int((scored["score"] >= release.threshold).sum()),
    }
