"""Channels that say the same thing are found by comparison, whatever their names."""

import numpy as np
import polars as pl
import pytest

from validation.channels import copied_channels

ROWS = 200
RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=ROWS)


def table(**channels: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pl.DataFrame:
    """Every channel measured at the same moments of one subject."""
    return pl.concat(
        pl.DataFrame(
            {
                "subject_id": np.ones(len(values), np.int64),
                "time": np.arange(len(values)),
                "code": [code] * len(values),
                "numeric_value": values,
            }
        )
        for code, values in channels.items()
    )


@pytest.mark.parametrize(("differing", "found"), [(0, True), (2, True), (3, False), (ROWS, False)])
def test_a_copy_is_found_from_99_percent_equality(differing: int, found: bool) -> None:
    other = VALUES.copy()
    other[:differing] += 1
    copies = copied_channels([table(x=VALUES, y=other)])

    assert [(copy.code, copy.copy_of) for copy in copies] == ([("x", "y")] if found else [])
    if found:
        assert (copies[0].joined_rows, copies[0].equal_rows) == (ROWS, ROWS - differing)


def test_channels_of_yes_and_no_agree_by_chance_and_are_not_compared() -> None:
    ones = np.ones(ROWS)

    assert copied_channels([table(x=ones, y=ones)]) == []


def test_too_few_common_moments_prove_nothing() -> None:
    assert copied_channels([table(x=VALUES[:49], y=VALUES[:49])]) == []


def test_all_pairs_of_three_copies_are_found() -> None:
    copies = copied_channels([table(c=VALUES, a=VALUES, b=VALUES, d=-VALUES)])

    assert [(copy.code, copy.copy_of) for copy in copies] == [("a", "b"), ("a", "c"), ("b", "c")]
