"""predict_holdout: the trained model and its challengers score every example, for the audit."""

from pathlib import Path

import polars as pl

from models.scoring import score
from pipelines.artefacts import Counts
from pipelines.splits import SPLITS
from pipelines.stage import open_inputs, recipe_of, run_stage
from pipelines.study import load_study

SPLIT_NAMES = {**dict(enumerate(SPLITS)), -1: "none"}


def predict_holdout(study: str, sequences: str, model: str) -> str:
    """Score every example; the audit looks at the test split and at cross-fitted scores."""
    load_study(study)
    inputs = {"sequences": sequences, "model": model}
    recipe = recipe_of(
        "predict_holdout",
        config={},
        inputs=inputs,
        libraries=("polars", "numpy", "torch", "scikit-learn"),
    )
    return run_stage(study, recipe, lambda draft: _write(open_inputs(inputs), draft)).key


def _write(inputs: dict[str, Path], draft: Path) -> Counts:
    examples = pl.read_parquet(inputs["sequences"] / "examples.parquet")
    predictions = with_scores(examples, inputs["sequences"], inputs["model"])
    predictions.write_parquet(draft / "predictions.parquet")
    return {
        "examples": predictions.height,
        "holdout": int((predictions["split"] == "test").sum()),
    }


def with_scores(examples: pl.DataFrame, sequences: Path, model: Path) -> pl.DataFrame:
    """The example table with named splits and a column per score; NaN (no score) is null."""
    scores = pl.DataFrame(score(sequences, model)).fill_nan(None)
    return examples.with_columns(
        pl.col("split").replace_strict(SPLIT_NAMES, return_dtype=pl.String),
        pl.col("matched_set").alias("cluster"),
    ).hstack(scores)
