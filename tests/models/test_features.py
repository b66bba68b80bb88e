import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.features import DAYS_PER_YEAR, build_features
from models.store import SequenceStore
from tests.models.generated_stores import make_store
from tests.models.test_batches import read_naively


def features_by_loops(store: SequenceStore, row: int, max_steps: int) -> dict[str, float]:
    """One example's features, channel by channel, with numpy's own line fit."""
    steps = read_naively(store, row, max_steps)
    end = int(store.step_offsets[row + 1])
    days = store.step_days[end - len(steps) : end]
    found: dict[str, float] = {"log_steps": math.log1p(len(steps))}
    for c, channel in enumerate(store.channels):
        at = [float(d) for d, seen in zip(days, steps, strict=True) if c in seen]
        values = [seen[c] for seen in steps if c in seen]
        found[f"{channel.code}_log_count"] = math.log1p(len(at))
        found[f"{channel.code}_log_days_since"] = math.log1p(-at[-1]) if at else math.nan
        if channel.kind == "numeric":
            found[f"{channel.code}_last"] = values[-1] if values else math.nan
            found[f"{channel.code}_mean"] = float(np.mean(values)) if values else math.nan
            years = np.array(at) / DAYS_PER_YEAR
            line = float(np.polyfit(years, values, 1)[0]) if len(at) > 1 else math.nan
            found[f"{channel.code}_slope"] = line
    for name, value in zip(store.statics, store.static_value[row], strict=True):
        found[name] = float(value)
    return found


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(0, 99), st.integers(1, 14))
def test_features_equal_loops_over_subjects(lengths: list[int], seed: int, most: int) -> None:
    store = make_store(lengths, seed)
    features = build_features(store, max_steps=most)
    for row in range(len(store)):
        expected = features_by_loops(store, row, most)
        assert sorted(expected) == sorted(features.names)
        found = dict(zip(features.names, features.columns[row], strict=True))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_event_has_no_value_features() -> None:
    names = build_features(make_store([3, 4]), max_steps=9).names
    assert [name for name in names if name.startswith("stroke")] == [
        "stroke_log_count",
        "stroke_log_days_since",
    ]
