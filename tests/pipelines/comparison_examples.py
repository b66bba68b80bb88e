"""A study with sequences made of chance, in an installation of its own: no source, no events."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from pipelines.artefacts import Recipe
from pipelines.stage import store
from tests.dags.installations import quick_study
from tests.models.generated_stores import make_learnable_store, write_store

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
