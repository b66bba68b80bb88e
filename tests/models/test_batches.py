import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.batches import assemble, days_since_observed, plan_batches
from models.store import SequenceStore
from tests.models.generated_stores import everyone, make_store

lengths_of_examples = st.lists(st.integers(0, 12), min_size=1, max_size=12)


def read_naively(store: SequenceStore, row: int, max_steps: int) -> list[dict[int, float]]:
    """An example's last time steps, each a dict of channel to value, by plain loops."""
    first, end = int(store.step_offsets[row]), int(store.step_offsets[row + 1])
    steps = []
    for step in range(max(first, end - max_steps), end):
        seen = range(store.observation_offsets[step], store.observation_offsets[step + 1])
        steps.append(
            {int(store.observation_channel[o]): float(store.observation_value[o]) for o in seen}
        )
    return steps


@given(lengths_of_examples, st.integers(0, 99), st.integers(1, 15))
def test_a_batch_holds_what_plain_loops_read(lengths: list[int], seed: int, most: int) -> None:
    store = make_store(lengths, seed)
    rows = np.random.default_rng(seed).permutation(len(store))
    batch = assemble(store, rows, max_steps=most)
    for b, row in enumerate(rows):
        steps = read_naively(store, int(row), most)
        end = int(store.step_offsets[row + 1])
        assert batch.steps[b].tolist() == [
            t < len(steps) for t in range(batch.steps.shape[1])
        ]  # the rest is padding
        days = store.step_days[end - len(steps) : end]
        np.testing.assert_array_equal(batch.step_days[b, : len(steps)].numpy(), days)
        for t in range(batch.steps.shape[1]):
            seen = steps[t] if t < len(steps) else {}
            for c in range(len(store.channels)):
                assert bool(batch.observed[b, t, c]) == (c in seen)
                assert float(batch.value[b, t, c]) == seen.get(c, 0.0)
        np.testing.assert_array_equal(batch.statics[b].numpy(), store.static_value[row])
        np.testing.assert_array_equal(batch.label[b].numpy(), store.label[row])
        np.testing.assert_array_equal(batch.other_label[b].numpy(), store.other_label[row])
        assert float(batch.followed_days[b]) == store.followed_days[row]


@given(lengths_of_examples, st.integers(0, 99))
def test_elapsed_days_are_those_a_loop_over_steps_remembers(lengths: list[int], seed: int) -> None:
    store = make_store(lengths, seed)
    batch = assemble(store, everyone(store), max_steps=99)
    for b in range(len(store)):
        last_day: dict[int, float] = {}
        for t in range(lengths[b]):
            today = float(batch.step_days[b, t])
            for c in range(len(store.channels)):
                expected = today - last_day[c] if c in last_day else -1.0
                assert float(batch.elapsed_days[b, t, c]) == expected
                if bool(batch.observed[b, t, c]):
                    last_day[c] = today


def test_elapsed_days_by_hand() -> None:
    observed = torch.tensor([[[True], [False], [True], [False]]])
    days = torch.tensor([[-100.0, -70.0, -60.0, -5.0]])
    assert days_since_observed(observed, days).flatten().tolist() == [-1.0, 30.0, 40.0, 55.0]


def test_a_batch_without_any_step_is_one_step_of_padding() -> None:
    batch = assemble(make_store([0, 0, 3]), np.array([0, 1]), max_steps=9)
    assert batch.steps.tolist() == [[False], [False]]
    assert not batch.observed.any()


plans = st.tuples(
    st.lists(st.integers(0, 40), min_size=1, max_size=60),
    st.integers(1, 200),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(0, 9)),
)


@given(plans)
def test_a_plan_holds_every_row_once_within_its_budget(
    plan: tuple[list[int], int, int, int | None],
) -> None:
    lengths, tokens, window_batches, seed = plan
    rows = np.arange(0, len(lengths), 2)
    size = np.array(lengths)
    batches = plan_batches(size, rows, tokens=tokens, window_batches=window_batches, seed=seed)
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(1, size[batch].max()) <= tokens


def test_a_plan_without_rows_is_empty() -> None:
    no_rows = np.empty(0, dtype=np.int64)
    assert plan_batches(np.array([3, 4]), no_rows, tokens=10) == []
    assert plan_batches(np.array([3, 4]), no_rows, tokens=10, seed=1) == []


def test_the_seed_alone_decides_the_plan() -> None:
    lengths = np.arange(500) % 37
    rows = np.arange(500)

    def words(seed: int) -> list[list[int]]:
        plan = plan_batches(lengths, rows, tokens=300, window_batches=4, seed=seed)
        return [batch.tolist() for batch in plan]

    assert words(1) == words(1)
    assert words(1) != words(2)


def test_batches_of_similar_length_hold_little_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(math.log(20), 1.0, 20_000).clip(1, 512)
    lengths = lengths.astype(np.int64)
    plan = plan_batches(lengths, np.arange(20_000), tokens=16_384, window_batches=50, seed=0)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in plan)
    assert padded / lengths.sum() < 1.15  # padded per batch of 256 at random it would be 10
