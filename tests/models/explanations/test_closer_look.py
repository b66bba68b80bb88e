"""A row whose contributions do not add up well is followed with more points; the others are not."""

import numpy as np

from models.explanations.explaining import COARSE, Explaining
from tests.models.explanations.explained_examples import explained_for
from tests.models.generated_stores import everyone, make_store
from tests.models.test_masking import MAX_STEPS

METHOD = "integrated_gradients"


def test_a_row_that_comes_out_coarse_is_followed_with_more_points() -> None:
    lengths = np.random.default_rng(0).integers(1, 9, 60).tolist()
    store = make_store(lengths, 1)
    explaining = Explaining(store, explained_for(size=1.5), MAX_STEPS)
    rows = everyone(store)
    before = {
        int(row): float(missing)
        for chosen, _, found in explaining.explain(METHOD, rows)
        for row, missing in zip(chosen, found.missing, strict=True)
    }
    coarse = {row for row, missing in before.items() if abs(missing) > COARSE}
    assert 0 < len(coarse) < len(rows)

    lines, missing = explaining.reasons(rows)

    assert set(missing) == set(before)
    assert max(abs(missing[row]) for row in coarse) < max(map(abs, before.values())) / 10
    assert all(missing[row] == before[row] for row in set(before) - coarse)
    ranks = [(line["row"], line["rank"]) for line in lines]
    assert len(set(ranks)) == len(ranks)
