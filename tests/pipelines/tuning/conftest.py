"""Studies with a tuning and sequences of chance, in homes of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

Written = Callable[..., str]


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


@contextmanager
def home_of_a_study(folder: Path) -> Iterator[Written]:
    """A home in `folder`; the function writes the study with some of its tuning changed."""
    (folder / "studies").mkdir()

    def write(sections: dict[str, Any] | None = None, **tuning: Any) -> str:
        given = {"tuning": TUNING | tuning} | (sections or {})
        (folder / "studies" / f"{STUDY}.yaml").write_text(study_with(**given))
        return STUDY

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(folder / "studies"))
        write()
        yield write


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Written]:
    with home_of_a_study(tmp_path) as write:
        yield write
