"""An audit says in words what its intervals hold and what they leave out."""

import polars as pl
import pytest

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from tests.validation.test_censoring import followed
from tests.validation.test_seed_spread import noisy
from validation.censoring import NO_FOLLOW_UP
from validation.interval_notes import (
    ONE_SEED,
    SEEDS,
    SEEDS_OF_FOLDS,
    WEIGHTS_AGAIN,
    WEIGHTS_FIXED,
    interval_notes,
)
from validation.populations import populations_of

FIXED = WEIGHTS_FIXED.format(reason=NO_FOLLOW_UP)


@pytest.mark.parametrize(
    ("frame", "holdout", "cross_fitted"),
    [
        (followed(), {WEIGHTS_AGAIN, ONE_SEED}, {WEIGHTS_AGAIN, SEEDS_OF_FOLDS}),
        (simulated(subjects=300), {FIXED, ONE_SEED}, {FIXED, SEEDS_OF_FOLDS}),
        (noisy(3), {FIXED, SEEDS.format(count=3)}, {FIXED, SEEDS_OF_FOLDS}),
    ],
    ids=["censored", "no follow-up", "three seeds"],
)
def test_each_population_says_what_its_intervals_hold(
    frame: pl.DataFrame, holdout: set[str], cross_fitted: set[str]
) -> None:
    notes = interval_notes(populations_of(frame, policy(), CHALLENGERS))
    said = {
        name: {note.words for note in notes if note.where == name}
        for name in ("holdout", "cross_fitted")
    }
    assert said == {"holdout": holdout, "cross_fitted": cross_fitted}
