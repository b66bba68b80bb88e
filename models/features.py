"""What a simple model may know of a sequence: last, mean, slope, count and age per channel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.store import SequenceStore

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Features:
    """One row per example, one named column per feature; NaN where nothing was observed."""

    names: tuple[str, ...]
    columns: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Kept:
    """[K] observations within the last `max_steps` steps; cell = example x C + channel."""

    cell: npt.NDArray[np.int64]
    days: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]


def build_features(store: SequenceStore, *, max_steps: int) -> Features:
    """[E, K] features of the same steps that the network sees.

    Per numeric channel: last value, mean, least-squares slope per year (NaN below two different
    days), log(1 + count), log(1 + days since the last). Per event: the last two of these.
    Then log(1 + time steps) and the statics. Finite or NaN: infinity counts as not observed.
    """
    kept = _keep(store, max_steps)
    examples, width = len(store), len(store.channels)
    count = np.bincount(kept.cell, minlength=examples * width)
    with np.errstate(invalid="ignore", divide="ignore"):
        per_channel = {
            "last": _last(kept.cell, kept.value, count),
            "mean": np.bincount(kept.cell, kept.value, examples * width) / count,
            "slope": _slope_per_year(kept, count),
            "log_count": np.log1p(count),
            "log_days_since": np.log1p(-_last(kept.cell, kept.days, count)),
        }
    names, columns = [], []
    for i, channel in enumerate(store.channels):
        for name, cells in per_channel.items():
            if channel.kind == "numeric" or name.startswith("log_"):
                names.append(f"{channel.code}_{name}")
                columns.append(cells.reshape(examples, width)[:, i])
    names += ["log_steps", *store.statics]
    columns += [np.log1p(np.minimum(store.lengths, max_steps)), *store.static_value.T]
    table = np.stack(columns, axis=1).astype(np.float64)
    return Features(tuple(names), np.where(np.isfinite(table), table, np.nan))


def _keep(store: SequenceStore, max_steps: int) -> _Kept:
    example = np.repeat(np.arange(len(store)), store.lengths)  # [S]
    recent = np.arange(len(example)) >= store.step_offsets[example + 1] - max_steps
    step = np.repeat(np.arange(len(example)), np.diff(store.observation_offsets))  # [O]
    chosen = recent[step]
    step = step[chosen]
    cell = example[step] * len(store.channels) + store.observation_channel[chosen]
    days = store.step_days[step].astype(np.float64)
    return _Kept(cell, days, store.observation_value[chosen].astype(np.float64))


def _last(
    cell: npt.NDArray[np.int64], value: npt.NDArray[np.float64], count: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """[cells] the last value of each; NaN of an empty one."""
    last = np.full(len(count), np.nan)
    order = np.argsort(cell, kind="stable")  # the store's order within a cell is ascending in time
    end = np.cumsum(count)[count > 0] - 1
    last[count > 0] = value[order][end]
    return last


def _slope_per_year(kept: _Kept, count: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """[cells] least-squares slope of value against time, from sums of centred products."""
    cells = len(count)
    years = kept.days / DAYS_PER_YEAR
    centred_years = years - (np.bincount(kept.cell, years, cells) / count)[kept.cell]
    centred_value = kept.value - (np.bincount(kept.cell, kept.value, cells) / count)[kept.cell]
    spread = np.bincount(kept.cell, centred_years**2, cells)
    product = np.bincount(kept.cell, centred_years * centred_value, cells)
    return np.where(spread > 0, product / spread, np.nan)
