"""Ragged sequences against a naive loop, and what must not change them."""

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.sequences
from pipelines.errors import SourceInvalid
from pipelines.sequence_channels import share_missing
from pipelines.sequences import Sequences, gather_sequences, select
from tests.pipelines.event_examples import event_table, example_table

CHANNELS = ["a", "b", "c"]

days = st.integers(-400, 400).map(lambda eighths: eighths / 8)
event_rows = st.lists(
    st.tuples(
        st.integers(1, 4),
        days,
        days,
        st.sampled_from([*CHANNELS, "unknown"]),
        st.one_of(st.none(), st.integers(-50, 50).map(float)),
    ).map(lambda row: (row[0], row[1], max(row[1], row[2]), row[3], row[4])),
    max_size=40,
)
examples = st.lists(st.tuples(st.integers(1, 5), days), min_size=1, max_size=6)

Row = tuple[int, float, float, str, float | None]
Step = tuple[float, list[tuple[int, float]]]


def naive(rows: list[Row], subject: int, index: float, lookback: int | None) -> list[Step]:
    """The time steps of one example, by loops: (day, [(channel, mean value)])."""
    steps: dict[float, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for owner, day, known, code, value in rows:
        early = lookback is not None and day <= index - lookback
        if owner != subject or code not in CHANNELS or early:
            continue
        if day <= index and known <= index:
            steps[day][CHANNELS.index(code)].append(1.0 if value is None else value)
    return [
        (day - index, [(c, float(np.float32(np.mean(v)))) for c, v in sorted(steps[day].items())])
        for day in sorted(steps)
    ]


def unrolled(sequences: Sequences, example: int) -> list[Step]:
    """The time steps of one example as the store holds them."""
    steps = []
    for step in range(sequences.step_offsets[example], sequences.step_offsets[example + 1]):
        low, high = sequences.observation_offsets[step : step + 2]
        channels = sequences.observation_channel[low:high].tolist()
        values = sequences.observation_value[low:high].tolist()
        steps.append((float(sequences.step_days[step]), list(zip(channels, values, strict=True))))
    return steps


@settings(deadline=None)
@given(event_rows, examples, st.sampled_from([None, 7, 30]), st.sampled_from([1, 1_000_000]))
def test_sequences_equal_a_loop_over_rows(
    rows: list[Row],
    asked: list[tuple[int, float]],
    lookback: int | None,
    chunk_rows: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.sequences, "CHUNK_ROWS", chunk_rows)
        sequences = gather_sequences(event_table(*rows), example_table(*asked), CHANNELS, lookback)

    for number, (subject, index) in enumerate(asked):
        assert unrolled(sequences, number) == naive(rows, subject, index, lookback)


@given(event_rows, examples)
def test_what_happens_or_is_known_after_the_index_time_changes_nothing(
    rows: list[Row], asked: list[tuple[int, float]]
) -> None:
    index = {subject: max(day for s, day in asked if s == subject) for subject, _ in asked}
    past = [row for row in rows if row[0] in index and row[2] <= index[row[0]]]
    asked = list(index.items())
    whole = gather_sequences(event_table(*rows), example_table(*asked), CHANNELS)
    cut = gather_sequences(event_table(*past), example_table(*asked), CHANNELS)

    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, cut.arrays()[name])


@given(event_rows, st.randoms(use_true_random=False))
def test_the_order_of_subjects_and_rows_is_irrelevant(rows: list[Row], random: object) -> None:
    asked = example_table(*[(subject, 10.0) for subject in range(1, 5)])
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = gather_sequences(event_table(*rows), asked, CHANNELS)
    other = gather_sequences(event_table(*shuffled), asked, CHANNELS)
    turned = select(
        gather_sequences(event_table(*shuffled), asked.reverse(), CHANNELS), np.arange(4)[::-1]
    )

    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])
        np.testing.assert_array_equal(array, turned.arrays()[name])


@pytest.mark.parametrize("day", [1 / 3, 1e-7, 2.0, 0.5, 1 / 1440])
def test_no_unit_of_time_is_lost(day: float) -> None:
    rows = [(1, -day, -day, "a", 3.0), (1, 0.0, 0.0, "b", 4.0)]
    sequences = gather_sequences(event_table(*rows), example_table((1, 0.0)), CHANNELS)

    expected = -round(day * 86_400_000_000) / 86_400_000_000
    assert sequences.step_days.tolist() == pytest.approx([expected, 0.0], rel=1e-6)


def test_a_key_that_does_not_fit_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipelines.sequences, "_bits", lambda largest: 30)
    with pytest.raises(SourceInvalid, match="fewer subjects"):
        gather_sequences(event_table((1, 0.0, 0.0, "a", 1.0)), example_table((1, 0.0)), CHANNELS)


def test_the_missing_share_counts_numeric_channels_never_observed() -> None:
    rows = [(1, 0.0, 0.0, "a", 1.0), (1, 0.0, 0.0, "c", None)]
    sequences = gather_sequences(event_table(*rows), example_table((1, 0.0), (2, 0.0)), CHANNELS)

    shares = share_missing(sequences, np.array([True, True, False]))
    assert shares.tolist() == [0.5, 1.0]


def test_categories_of_another_order_or_plain_text_give_the_same_channels() -> None:
    table = event_table((1, 0.0, 0.0, "c", 1.0), (1, 0.0, 0.0, "a", 2.0))
    text = table.with_columns(pl.col("code").cast(pl.String))
    one = gather_sequences(table, example_table((1, 0.0)), CHANNELS)
    other = gather_sequences(text, example_table((1, 0.0)), CHANNELS)

    assert one.observation_channel.tolist() == other.observation_channel.tolist() == [0, 2]


def test_a_restated_value_speaks_from_its_known_time_on_and_the_old_one_no_more() -> None:
    events = event_table(
        (1, 1.0, 1.0, "hdl", 50.0),
        (1, 1.0, 5.0, "hdl", 60.0),
        (1, 2.0, 2.0, "hdl", 40.0),
        (1, 2.0, 2.0, "hdl", 44.0),
    )
    examples = example_table((1, 3.0), (1, 5.0))

    found = gather_sequences(events, examples, ["hdl"])

    assert found.step_offsets.tolist() == [0, 2, 4]
    assert found.observation_value.tolist() == [50.0, 42.0, 60.0, 42.0]
