"""Walk-forward windows: in order of time, purged, and the same when more data arrives."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SourceInvalid
from pipelines.splits import Placed, WalkForward, assign_splits
from validation.leakage import no_label_reaches_the_next_part

FIRST = date(1970, 1, 1)
CONFIG = WalkForward(
    kind="walk_forward", first_test=date(1971, 1, 1), test_months=6, validation_days=60
)


def daily(days: int, label_days: float = 5.0) -> Placed:
    """One example a day from the first of January 1970, its label known some days later."""
    day = np.arange(days, dtype=np.float64)
    return Placed(np.zeros(days, np.int64), day, day + label_days)


def test_the_parts_of_a_window_are_those_counted_by_hand() -> None:
    split = assign_splits(daily(730), CONFIG)

    first, second = split.windows
    # 1 January 1971 is day 365, 1 July day 546. Labels take five days to be known.
    assert np.flatnonzero(first == 2).tolist() == list(range(365, 546))
    assert np.flatnonzero(first == 1).tolist() == list(range(305, 361))
    assert np.flatnonzero(first == 0).tolist() == list(range(301))
    assert np.flatnonzero(second == 2).tolist() == list(range(546, 730))
    assert np.flatnonzero(second == 0).max() == 546 - 60 - 5
    assert split.split.tolist() == second.tolist()
    assert split.resampling == "walk_forward"


def test_a_rolling_window_forgets_and_an_expanding_one_does_not() -> None:
    rolling = CONFIG.model_copy(update={"train_years": 0.5})

    assert np.flatnonzero(assign_splits(daily(730), CONFIG).windows[1] == 0).min() == 0
    first = np.flatnonzero(assign_splits(daily(730), rolling).windows[1] == 0).min()
    assert first == int(np.ceil(546 - 0.5 * 365.25))


def test_an_embargo_leaves_further_days_free() -> None:
    embargoed = CONFIG.model_copy(update={"embargo_days": 3.0})

    assert np.flatnonzero(assign_splits(daily(730), embargoed).windows[0] == 0).max() == 297


def test_of_the_training_times_every_nth_is_used_and_all_are_tested() -> None:
    windows = assign_splits(daily(730), CONFIG.model_copy(update={"train_every": 5})).windows

    assert set(np.flatnonzero(windows[0] == 0) % 5) == {0}
    assert (windows[0] == 2).sum() == 181


def test_a_row_whose_label_is_not_known_trains_nothing_and_is_still_tested() -> None:
    placed = daily(730)
    placed.label_end_day[[10, 310, 400]] = np.nan

    assert assign_splits(placed, CONFIG).windows[0][[10, 310, 400]].tolist() == [-1, -1, 2]


@given(
    label_days=st.floats(0, 40),
    embargo=st.floats(0, 20),
    days=st.integers(560, 900),
    every=st.integers(1, 7),
)
def test_no_label_ever_reaches_the_next_part(
    label_days: float, embargo: float, days: int, every: int
) -> None:
    config = CONFIG.model_copy(update={"embargo_days": embargo, "train_every": every})
    placed = daily(days, label_days)
    windows = assign_splits(placed, config).windows

    check = no_label_reaches_the_next_part(windows, placed.index_day, placed.label_end_day)
    assert check.passed
    for parts in windows:
        tested = placed.index_day[parts == 2]
        for part in (0, 1):
            assert placed.label_end_day[parts == part].max() + embargo <= tested.min()


@given(st.integers(600, 800), st.integers(1, 100))
def test_later_data_changes_no_window_that_was_complete(days: int, more: int) -> None:
    before = assign_splits(daily(days), CONFIG).windows[0]
    after = assign_splits(daily(days + more), CONFIG).windows[0]

    assert after[:days].tolist() == before.tolist()
    assert (after[days:] == -1).all()


def test_a_label_that_overlaps_the_next_part_is_caught() -> None:
    placed = daily(730)
    windows = assign_splits(placed, CONFIG).windows.copy()
    windows[0, 362] = 1  # its label is known on day 367, the test part begins on day 365

    check = no_label_reaches_the_next_part(windows, placed.index_day, placed.label_end_day)
    assert (check.passed, check.unexpected) == (False, 1)


@pytest.mark.parametrize(
    ("first_test", "said"),
    [
        (FIRST, "Window 1 .* has no train and no validation rows"),
        (date(1970, 2, 15), "Window 1 .* has no train rows"),
        (date(1975, 1, 1), "has no window"),
    ],
)
def test_a_window_without_rows_is_refused(first_test: date, said: str) -> None:
    with pytest.raises(SourceInvalid, match=said):
        assign_splits(daily(400), CONFIG.model_copy(update={"first_test": first_test}))
