"""Means and deviations that make inputs comparable, from the rows given and no others."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.config import Scaling
from models.store import SequenceStore
from models.value_scales import (
    LEAST_SPREAD,
    Floats,
    Numbers,
    ValueScales,
    fit_value_scales,
    mean_and_deviation,
)


@dataclass(frozen=True)
class Scaler:
    """What the training rows hold, in numbers, and how values become comparable by them.

    Attributes:
        channel_mean, channel_std: [C] of a numeric channel's observed values; 0 and 1 for events.
        static_mean, static_std: [F] of the known values; an unknown one is scaled to 0.
        gap_mean, gap_std: of log(1 + days) between neighbouring time steps.
        age_mean, age_std: of log(1 + days) from a time step to the index time.
        channel_scales, static_scales: how values become inputs.
        fact_mean, fact_std: [K] of what the network's head sees; models/inputs.py fits them.
    """

    channel_mean: Numbers
    channel_std: Numbers
    static_mean: Numbers
    static_std: Numbers
    gap_mean: float
    gap_std: float
    age_mean: float
    age_std: float
    channel_scales: ValueScales
    static_scales: ValueScales
    fact_mean: Numbers = ()
    fact_std: Numbers = ()

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Self:
        numbers: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in words.items()
        }
        for name in ("channel_scales", "static_scales"):
            numbers[name] = ValueScales.from_json(words[name])
        return cls(**numbers)


def fit_scaler(
    store: SequenceStore, rows: npt.NDArray[np.int64], scaling: Scaling = "standard"
) -> Scaler:
    """Fit on the examples `rows` [R], in any order; nothing of any other example is looked at."""
    rows = np.sort(rows)
    example_of_step = np.repeat(np.arange(len(store)), store.lengths)  # [S]
    step_chosen = np.isin(example_of_step, rows)  # [S]
    days = store.step_days.astype(np.float64)
    neighbours = step_chosen[1:] & (example_of_step[1:] == example_of_step[:-1])
    gap_mean, gap_std = mean_and_deviation(np.log1p(np.diff(days)[neighbours]))
    age_mean, age_std = mean_and_deviation(np.log1p(-days[step_chosen]))
    channel, value = _observations(store, step_chosen)
    # An event's value is always 1: scaling would only turn it into a 0 like "not observed".
    numeric = np.array([c.kind == "numeric" for c in store.channels], dtype=bool)
    channel_mean, channel_std = _channels(channel, value, numeric)
    columns = [column[~np.isnan(column)] for column in store.static_value[rows].T]
    static = [mean_and_deviation(column) for column in columns]
    static_mean, static_std = tuple(mean for mean, _ in static), tuple(std for _, std in static)
    return Scaler(
        channel_mean,
        channel_std,
        static_mean,
        static_std,
        gap_mean,
        gap_std,
        age_mean,
        age_std,
        fit_value_scales(
            scaling,
            # The standard kind has its numbers already, and looks at no value.
            _by_channel(channel, value, len(numeric)) if scaling != "standard" else [],
            numeric.tolist(),
            channel_mean,
            channel_std,
        ),
        fit_value_scales(
            scaling,
            [column.astype(np.float64) for column in columns],
            [True] * len(columns),
            static_mean,
            static_std,
        ),
    )


def _observations(
    store: SequenceStore, step_chosen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], Floats]:
    """Channel and value [O] of what was observed at the steps chosen [S]."""
    chosen = np.repeat(step_chosen, np.diff(store.observation_offsets))
    return store.observation_channel[chosen], store.observation_value[chosen].astype(np.float64)


def _channels(
    channel: npt.NDArray[np.int32], value: Floats, numeric: npt.NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    width = len(numeric)
    count = np.maximum(np.bincount(channel, minlength=width), 1)
    mean = np.bincount(channel, value, width) / count
    variance = np.bincount(channel, (value - mean[channel]) ** 2, width) / count
    std = np.sqrt(variance)
    std = np.where(numeric & (std >= LEAST_SPREAD), std, 1.0)
    return tuple(np.where(numeric, mean, 0.0).tolist()), tuple(std.tolist())


def _by_channel(channel: npt.NDArray[np.int32], value: Floats, width: int) -> list[Floats]:
    """The values [O] of each of `width` channels, each in its order."""
    order = np.argsort(channel, kind="stable")
    edges = np.searchsorted(channel[order], np.arange(1, width))
    return list(np.split(value[order], edges))
