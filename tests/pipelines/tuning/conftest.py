"""A study with a tuning and sequences of chance, in a home of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.stage import recipe_of, store
from tests.dags.installations import study_text
from tests.models.generated_stores import make_learnable_store, write_store

STUDY = "searched"
TUNING = {
    "sampler": "random",
    "trials": 4,
    "parameters": {
        "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "hidden_size": [4, 8],
    },
}
FOLDS = {"kind": "stratified_grouped", "folds": 2, "validation": 0.25}
MODEL = {"hidden_size": 4, "seeds": [0], "max_epochs": 3, "min_epochs": 1, "patience_epochs": 3}


def study_with(tuning: dict[str, Any] | None, **sections: Any) -> str:
    """The demo's study, its model small and its folds two."""
    given = {"model": MODEL, "cross_validation": FOLDS, "tuning": tuning} | sections
    return study_text(**given)


def write_sequences(examples: int = 240, seed: int = 0) -> str:
    """An artefact as `build_sequences` leaves it, whose labels can be learned; its key."""
    made = make_learnable_store(examples, seed)
    random = np.random.default_rng(seed)

    def write(draft: Path) -> dict[str, int]:
        write_store(made, draft)
        pl.DataFrame(
            {
                "subject_id": made.subject,
                "cluster": made.cluster,
                "split": made.split,
                "label": pl.Series(made.label).fill_nan(None),
                "weight": made.weight,
                "sex": random.choice(["female", "male"], examples),
                "age_band": random.choice(["18-44", "45-64"], examples),
            }
        ).write_parquet(draft / "examples.parquet")
        return {"examples": examples}

    recipe = recipe_of("build_sequences", config={"generated": [examples, seed]}, inputs={})
    return store().make(recipe, write).key


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write the study with some of its tuning changed; gives its name."""
    (tmp_path / "studies").mkdir()
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))

    def write(sections: dict[str, Any] | None = None, **tuning: Any) -> str:
        text = study_with(json.loads(json.dumps(TUNING | tuning)), **(sections or {}))
        (tmp_path / "studies" / f"{STUDY}.yaml").write_text(text)
        return STUDY

    write()
    return write
