"""A study with sequences made of chance, in an installation of its own: no source, no events."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from models.config import ModelConfig
from pipelines.artefacts import Recipe
from pipelines.cross_validation import windows_of
from pipelines.out_of_sample import COST, PREDICTIONS, one_for_all_folds, recipe_for
from pipelines.stage import device_class, store
from pipelines.study import Study
from tests.dags.installations import quick_study
from tests.models.generated_stores import make_learnable_store, write_store
from validation.tasks import CHALLENGERS

STUDY = "small"
MODEL: dict[str, Any] = {
    "hidden_size": 4,
    "tokens_per_batch": 256,
    "min_epochs": 1,
    "max_epochs": 2,
    "seeds": [0],
}
FOLDS = {"kind": "grouped", "folds": 3}


def write_study(studies: Path, **sections: Any) -> None:
    """The demo's study with a network that trains in a second, and three folds."""
    raw = yaml.safe_load(quick_study())
    raw |= {"model": MODEL, "cross_validation": FOLDS} | sections
    studies.mkdir(parents=True, exist_ok=True)
    (studies / f"{STUDY}.yaml").write_text(yaml.safe_dump(raw))


def make_sequences(examples: int = 600, seed: int = 0) -> str:
    """The key of sequences with examples; a fifth or so is the holdout."""
    made = make_learnable_store(examples, seed)
    rng = np.random.default_rng([seed, 9])
    frame = pl.DataFrame(
        {
            "subject_id": made.subject,
            "index_time": [datetime(2000, 1, 1, tzinfo=UTC)] * examples,
            "cluster": made.cluster,
            "split": made.split,
            "label": made.label,
            "weight": made.weight,
            "sex": rng.choice(["female", "male"], examples),
            "age_band": rng.choice(["18-44", "45-64"], examples),
        }
    ).with_columns(pl.col("label").fill_nan(None))

    def write(draft: Path) -> dict[str, int]:
        write_store(made, draft)
        frame.write_parquet(draft / "examples.parquet")
        return {"examples": examples}

    words = {"examples": examples, "seed": seed}
    recipe = Recipe("build_sequences", {}, {}, words, {}, {})
    return store().make(recipe, write).key


def keep_answers(
    spec: Study, sequences: str, section: ModelConfig, noise: float, *, with_challengers: bool
) -> str:
    """Answers of all folds where a cross-validation would have kept them: none is trained."""
    windows = windows_of(store().open(sequences), spec.cross_validation)
    label = pl.read_parquet(store().open(sequences) / "examples.parquet")["label"].fill_null(0)
    rng = np.random.default_rng([3, len(windows)])
    parts = []
    for fold, window in enumerate(windows):
        row = np.flatnonzero(window == 2)
        score = 1 / (1 + np.exp(-label.to_numpy()[row] - noise * rng.normal(size=len(row))))
        others = dict.fromkeys(CHALLENGERS["risk"] if with_challengers else (), score * 0.9)
        columns = {"fold": np.full(len(row), fold), "row": row, "score": score, "seed_0": score}
        parts.append(pl.DataFrame(columns | others))
    spent = {"processor_seconds": 1.0, "scoring_seconds_per_row": 1e-6}
    network = spent | {"epochs": 1, "seconds": 1.0, "peak_memory_bytes": 1, "parameters": 9}
    simple = {name: spent | {"challenger": name} for name in CHALLENGERS["risk"]}
    cost = {
        "networks": {f"window_{fold}_seed_0": network for fold in range(len(windows))},
        "challengers": simple if with_challengers else {},
        "made_with": {"device": device_class(), "machine": "none"},
    }

    def write(draft: Path) -> dict[str, int]:
        pl.concat(parts).write_parquet(draft / PREDICTIONS)
        (draft / COST).write_text(json.dumps(cost))
        return {"folds": len(windows)}

    config = one_for_all_folds(section, (0,))
    folds = range(len(windows))
    return store().make(recipe_for(spec, sequences, config, folds, with_challengers), write).key
