"""Means and deviations that make inputs comparable, from the rows given and no others."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.store import SequenceStore

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of what the training rows hold.

    Attributes:
        channel_mean, channel_std: [C] of a numeric channel's observed values; 0 and 1 for events.
        static_mean, static_std: [F] of the known values; an unknown one is scaled to 0.
        gap_mean, gap_std: of log(1 + days) between neighbouring time steps.
        age_mean, age_std: of log(1 + days) from a time step to the index time.
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
        return cls(**numbers)


def fit_scaler(store: SequenceStore, rows: npt.NDArray[np.int64]) -> Scaler:
    """Fit on the examples `rows` [R]; nothing of any other example is looked at."""
    example_of_step = np.repeat(np.arange(len(store)), store.lengths)  # [S]
    step_chosen = np.isin(example_of_step, rows)  # [S]
    days = store.step_days.astype(np.float64)
    neighbours = step_chosen[1:] & (example_of_step[1:] == example_of_step[:-1])
    gap_mean, gap_std = _mean_std(np.log1p(np.diff(days)[neighbours]))
    age_mean, age_std = _mean_std(np.log1p(-days[step_chosen]))
    channel_mean, channel_std = _channels(store, step_chosen)
    static = [_mean_std(column[~np.isnan(column)]) for column in store.static_value[rows].T]
    return Scaler(
        channel_mean,
        channel_std,
        tuple(mean for mean, _ in static),
        tuple(std for _, std in static),
        gap_mean,
        gap_std,
        age_mean,
        age_std,
    )


def _channels(store: SequenceStore, step_chosen: npt.NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    chosen = np.repeat(step_chosen, np.diff(store.observation_offsets))  # [O]
    channel = store.observation_channel[chosen]
    value = store.observation_value[chosen].astype(np.float64)
    width = len(store.channels)
    count = np.maximum(np.bincount(channel, minlength=width), 1)
    mean = np.bincount(channel, value, width) / count
    variance = np.bincount(channel, (value - mean[channel]) ** 2, width) / count
    # An event's value is always 1: scaling would only turn it into a 0 like "not observed".
    numeric = np.array([c.kind == "numeric" for c in store.channels], dtype=bool)
    std = np.where(numeric & (variance > 0), np.sqrt(variance), 1.0)
    return tuple(np.where(numeric, mean, 0.0).tolist()), tuple(std.tolist())


def _mean_std(values: npt.NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Mean and deviation in float64; (0, 1) where there is nothing to measure."""
    if values.size == 0:
        return 0.0, 1.0
    exact = values.astype(np.float64)
    return float(exact.mean()), float(exact.std()) or 1.0
