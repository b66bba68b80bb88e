"""predict_holdout: the trained model and its challengers score every example, for the audit."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from models.compression.registry import FORM_MODULES
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.errors import ArtefactCorrupt
from pipelines.limits_order import register_policy
from pipelines.splits import SPLIT_NAMES
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage
from pipelines.study import load_study
from validation.leakage import scalers_refitted

Answer = TypeVar("Answer")


def predict_holdout(study: str, sequences: str, model: str) -> str:
    """Score every example; the audit looks at the test split and at cross-fitted scores."""
    recipe = recipe_for(study, sequences, model)
    # Before there is a prediction that anybody could have looked at.
    register_policy(load_study(study), recipe.key)
    return run_stage(study, recipe, lambda draft: _write(open_inputs(recipe.inputs), draft)).key


def recipe_for(study: str, sequences: str, model: str) -> Recipe:
    """What decides the scores: the sequences and the model; no section of the study."""
    return recipe_of(
        "predict_holdout",
        config={},
        inputs={"sequences": sequences, "model": model},
        libraries=("polars", "numpy", "torch", "scikit-learn", "onnxruntime", "torchao"),
        modules=("models.scoring", *FORM_MODULES, *ENCODER_MODULES),
        device=device_class(),
    )


def _write(inputs: dict[str, Path], draft: Path) -> Counts:
    examples = pl.read_parquet(inputs["sequences"] / "examples.parquet")
    checks = [scalers_refitted(_refitted_scalers(inputs["sequences"], inputs["model"]))]
    (draft / "checks.json").write_text(json.dumps([check.as_dict() for check in checks], indent=1))
    predictions = with_scores(examples, inputs["sequences"], inputs["model"])
    predictions.write_parquet(draft / "predictions.parquet")
    return {
        "examples": predictions.height,
        "holdout": int((predictions["split"] == "test").sum()),
    }


def with_scores(examples: pl.DataFrame, sequences: Path, model: Path) -> pl.DataFrame:
    """The example table with named splits and a column per score; NaN (no score) is null."""
    scores = pl.DataFrame(scores_of(sequences, model)).fill_nan(None)
    return examples.with_columns(
        pl.col("split").replace_strict(SPLIT_NAMES, return_dtype=pl.String)
    ).hstack(scores)


def scores_of(sequences: Path, model: Path) -> Mapping[str, npt.NDArray[np.float64]]:
    """Columns of scores in the order of the examples; see ``models.scoring.score``.

    Raises:
        ArtefactCorrupt: the model or the sequences cannot be read, or do not belong together.
    """
    # torch: only whoever scores pays for it.
    from models.scoring import score

    return _asked(score, sequences, model)


def scores_of_shard(
    sequences: Path, model: Path, first: int, last: int
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Columns of the released scores of the subjects from ``first`` to ``last``, in their order,
    by the CPU; see ``models.bucket_scoring.score_by_bucket``.

    Raises:
        ArtefactCorrupt: the model or the sequences cannot be read, or do not belong together.
    """
    from models.bucket_scoring import score_by_bucket
    from models.estimator import on_cpu

    # Shards are scored by whatever machines are free: the bits are not to tell by which.
    with on_cpu():
        return _asked(partial(score_by_bucket, first=first, last=last), sequences, model)


def _refitted_scalers(sequences: Path, model: Path) -> Mapping[str, bool]:
    from models.scoring import refitted_scalers

    return _asked(refitted_scalers, sequences, model)


def _asked(question: Callable[[Path, Path], Answer], sequences: Path, model: Path) -> Answer:
    """The model's answer; what makes it unusable is said in words that a person can act on."""
    from models.estimator import ModelUnusable
    from models.store import SequencesUnusable

    try:
        return question(sequences, model)
    except (ModelUnusable, SequencesUnusable) as error:
        raise ArtefactCorrupt(
            f"These sequences cannot be scored by this model: {error}.",
            where=f"{model} on {sequences}",
            remedy="Delete the one that the message names and run the flow again from its stage.",
        ) from None
