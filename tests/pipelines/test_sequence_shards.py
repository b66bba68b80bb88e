"""Sequences of shards, merged: the bytes of sequences that were never cut."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import sequence_merging
from pipelines.errors import ArtefactCorrupt
from pipelines.example_shards import read_sequences
from pipelines.examples import FlowCount, exclude, flow_together
from pipelines.growing_array import GrowingArray
from pipelines.sequence_channels import keep_channels, share_missing, times_observed
from pipelines.sequence_merging import chunks, merge_shards, observed_among
from pipelines.sequences import Sequences, gather_sequences, save_arrays, select
from pipelines.shards import BUCKET_BITS, Shard, shards
from pipelines.stage import store
from pipelines.stages.build_sequences import build_sequences
from pipelines.stages.merge_sequences import merge_sequences
from pipelines.whole_stages import whole_events
from tests.dags.installations import quick_study

CHANNELS = ["bmi", "hdl", "sbp", "stroke"]
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@st.composite
def event_tables(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events of a few subjects of all buckets, some known early or late, and their index times."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 9),
                st.integers(0, 5),
                st.sampled_from([-1, 0, 0, 0, 2]),
                st.sampled_from(CHANNELS),
                st.floats(-100, 100, width=32),
            ),
            max_size=60,
        )
    )
    subjects = [(number * 7 % 64 << BUCKET_BITS) + number for number in range(10)]
    events = pl.DataFrame(
        {
            "subject_id": [subjects[row[0]] for row in rows],
            "time": [EPOCH + timedelta(days=row[1]) for row in rows],
            "known_time": [EPOCH + timedelta(days=row[1] + row[2]) for row in rows],
            "code": [row[3] for row in rows],
            "numeric_value": [row[4] for row in rows],
        },
        schema={
            "subject_id": pl.Int64,
            "time": pl.Datetime("us", "UTC"),
            "known_time": pl.Datetime("us", "UTC"),
            "code": pl.String,
            "numeric_value": pl.Float32,
        },
    )
    index = [EPOCH + timedelta(days=draw(st.integers(0, 6))) for _ in subjects]
    examples = pl.DataFrame({"subject_id": subjects, "index_time": index}).sort("subject_id")
    return events, examples.cast({"index_time": pl.Datetime("us", "UTC")})


def cut(events: pl.DataFrame, examples: pl.DataFrame, count: int, folder: Path) -> Iterator[Path]:
    """The folders of all shards' sequences."""
    for shard in shards(count):
        own = pl.col("subject_id").is_between(*shard.subject_ids)
        sequences = gather_sequences(events.filter(own), examples.filter(own), CHANNELS)
        place = folder / f"{shard.number}_of_{count}"
        place.mkdir()
        save_arrays(place, sequences.arrays())
        yield place


def same(found: Sequences, expected: Sequences) -> None:
    for name, array in expected.arrays().items():
        own = found.arrays()[name]
        assert own.dtype == array.dtype, name
        np.testing.assert_array_equal(own, array, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(
    tables=event_tables(),
    count=st.sampled_from([1, 3, 8]),
    kept=st.lists(st.booleans(), min_size=4, max_size=4),
    at_a_time=st.sampled_from([1, 5, 1_000_000]),
)
def test_merged_and_pruned_shards_are_what_one_pass_over_the_kept_channels_gathers(
    tables: tuple[pl.DataFrame, pl.DataFrame],
    count: int,
    kept: list[bool],
    at_a_time: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    events, examples = tables
    folder, chosen = tmp_path_factory.mktemp("shards"), np.array(kept)
    folders = list(cut(events, examples, count, folder))
    wanted = [code for code, stays in zip(CHANNELS, kept, strict=True) if stays]
    # The old route: the whole table at once, in the channels that stay.
    expected = gather_sequences(events, examples, wanted)
    everything = gather_sequences(events, examples, CHANNELS)
    numeric = np.array([code != "stroke" for code in wanted], np.bool_)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_merging, "CHUNK_OBSERVATIONS", at_a_time)
        merged = merge_shards(folders, chosen, numeric, folder)
    same(read_sequences(folder), expected)
    assert merged.observations == expected.observation_value.size
    dropped = everything.observation_value.size - expected.observation_value.size
    assert merged.dropped_observations == dropped
    np.testing.assert_array_equal(merged.lengths, np.diff(expected.step_offsets))
    np.testing.assert_array_equal(merged.share_missing, share_missing(expected, numeric))
    assert (merged.steps, merged.steps_after_index) == (expected.step_days.size, 0)


@settings(max_examples=20, deadline=None)
@given(tables=event_tables(), count=st.sampled_from([1, 8]), some=st.integers(0, 10))
def test_channels_are_observed_by_whom_they_are_in_a_loop(
    tables: tuple[pl.DataFrame, pl.DataFrame],
    count: int,
    some: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    events, examples = tables
    folders = list(cut(events, examples, count, tmp_path_factory.mktemp("shards")))
    among = np.arange(examples.height) < some
    whole = gather_sequences(events, examples, CHANNELS)
    own = select(whole, np.flatnonzero(among))
    seen = {CHANNELS[number] for number in own.observation_channel}
    found = observed_among(folders, among, len(CHANNELS))
    assert {code for code, there in zip(CHANNELS, found, strict=True) if there} == seen
    counts = times_observed(whole, among, len(CHANNELS))
    assert counts.sum() == own.observation_channel.size


def test_a_step_that_loses_all_it_says_vanishes_and_one_of_two_examples_may_be_left_empty() -> None:
    # Two examples: steps {0: bmi}, {1: bmi, sbp}; and {2: bmi}.
    sequences = Sequences(
        step_offsets=np.array([0, 2, 3]),
        observation_offsets=np.array([0, 1, 3, 4]),
        step_days=np.array([-9.0, -4.0, -2.0], np.float32),
        observation_channel=np.array([0, 0, 2, 0], np.int32),
        observation_value=np.array([1.0, 2.0, 3.0, 4.0], np.float32),
    )
    kept = keep_channels(sequences, np.array([-1, 0, 1], np.int32))
    assert kept.step_offsets.tolist() == [0, 1, 1]
    assert kept.observation_offsets.tolist() == [0, 1]
    assert kept.step_days.tolist() == [-4.0]
    assert kept.observation_channel.tolist() == [1]
    assert kept.observation_value.tolist() == [3.0]


def test_what_one_subject_is_told_does_not_depend_on_whether_another_is_known_late() -> None:
    def told(companion_known_after: int) -> list[float]:
        day = timedelta(days=1)
        events = pl.DataFrame(
            {
                "subject_id": [1, 1, 2],
                "time": [EPOCH + day, EPOCH + day, EPOCH],
                # Stated twice, both before the moment that they are of: the newer version counts.
                "known_time": [EPOCH, EPOCH + day, EPOCH + companion_known_after * day],
                "code": ["hdl"] * 3,
                "numeric_value": pl.Series([40.0, 60.0, 1.0], dtype=pl.Float32),
            }
        )
        examples = pl.DataFrame({"subject_id": [1], "index_time": [EPOCH + 3 * day]})
        values: list[float] = gather_sequences(events, examples, ["hdl"]).observation_value.tolist()
        return values

    assert told(0) == told(1) == [60.0]


def test_an_array_that_grew_has_the_bytes_of_one_that_was_saved_at_once(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    np.save(tmp_path / "once.npy", rows)
    with GrowingArray(tmp_path / "grown.npy", np.float32) as file:
        for part in np.array_split(rows, 7):
            file.append(part)
        with pytest.raises(ValueError, match="float64"):
            file.append(rows.astype(np.float64))
    assert (tmp_path / "grown.npy").read_bytes() == (tmp_path / "once.npy").read_bytes()


def test_chunks_hold_each_example_once_and_whole(tmp_path: Path) -> None:
    sequences = Sequences(
        step_offsets=np.array([0, 0, 2, 3, 3]),
        observation_offsets=np.array([0, 3, 5, 6]),
        step_days=np.array([-3.0, -2.0, -1.0], np.float32),
        observation_channel=np.array([0, 1, 2, 0, 1, 0], np.int32),
        observation_value=np.arange(6, dtype=np.float32),
    )
    save_arrays(tmp_path, sequences.arrays())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_merging, "CHUNK_OBSERVATIONS", 2)
        found = list(chunks([tmp_path]))
    assert sum(chunk.step_offsets.size - 1 for chunk in found) == 4
    assert len(found) > 1
    values = np.concatenate([chunk.observation_value for chunk in found])
    assert values.tolist() == sequences.observation_value.tolist()


def test_the_flow_of_shards_is_the_flow_of_all() -> None:
    people = pl.DataFrame(
        {
            "sex": ["male", "female", None, "male", "female", "male"],
            "age_band": ["45-64", "18-44", "65+", "18-44", "65+", "45-64"],
            "out": [True, False, True, False, None, True],
        }
    )

    def flow(rows: pl.DataFrame) -> list[FlowCount]:
        steps: list[FlowCount] = []
        left = exclude(rows, steps, ("sex", "age_band"), pl.col("out"), "first", "words")
        exclude(left, steps, ("sex", "age_band"), pl.col("sex") == "male", "second", "more")
        return steps

    parts = [flow(people[:1]), flow(people[1:1]), flow(people[1:4]), flow(people[4:])]
    assert flow_together(parts) == flow(people)


STUDY = "quick"


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sharded")
    (folder / "studies").mkdir()
    (folder / "studies" / f"{STUDY}.yaml").write_text(quick_study())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(folder / "studies"))
        yield whole_events(STUDY)


def merged(events: str, count: int, order: int) -> tuple[str, dict[str, str]]:
    """The key, and each file's hash, of sequences that were made of shards and then taken away."""
    random = np.random.default_rng(order)
    numbers = [str(shards(count)[number]) for number in random.permutation(count)]
    parts = [build_sequences(STUDY, events, number) for number in numbers]
    random.shuffle(parts)
    key = merge_sequences(STUDY, events, parts)
    folder = store().open(key)
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name != "manifest.json"
    }
    assert build_sequences(STUDY, events, "1/3") == key
    folder.rename(folder.with_name(f".{folder.name}-{count}"))
    return key, found


def test_the_artefact_is_the_same_for_any_number_of_shards_in_any_order(events: str) -> None:
    whole = merged(events, 1, 0)
    assert len(whole[1]) > 15
    assert merged(events, 3, 1) == merged(events, 8, 2) == whole


def test_parts_that_are_not_all_the_shards_are_not_merged(events: str) -> None:
    parts = [build_sequences(STUDY, events, str(shard)) for shard in shards(4)]
    other = build_sequences(STUDY, events, str(Shard(0, 2)))
    for wrong in (parts[:3], [*parts[:3], other], [], [events]):
        with pytest.raises(ArtefactCorrupt, match="not all the shards"):
            merge_sequences(STUDY, events, wrong)
