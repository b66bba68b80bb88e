"""Small sequence stores made of chance: whatever the tests of models/ read."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.store import TEST, TRAIN, TYPE_OF_ARRAY, VALIDATION, Channel, SequenceStore

CHANNELS = (Channel("hdl", "numeric"), Channel("sbp", "numeric"), Channel("stroke", "event"))
STATICS = ("age_years", "sex_male")
OTHER_LABELS = ("htn", "death")
HORIZON_DAYS = 1826.0
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def make_store(lengths: list[int], seed: int = 0, task: str = "risk") -> SequenceStore:
    """One example per entry of `lengths`, with that many time steps; all else from `seed`."""
    random = np.random.default_rng(seed)
    examples, steps = len(lengths), sum(lengths)
    days = [-np.sort(random.choice(3000, n, replace=False))[::-1] for n in lengths]
    seen = random.random((steps, len(CHANNELS))) < 0.5
    seen[np.arange(steps), random.integers(0, len(CHANNELS), steps)] = True  # no empty step
    channel = np.nonzero(seen)[1]
    value = np.where(channel == 2, 1.0, random.normal(60.0, 20.0, len(channel)))
    static = np.stack([random.normal(55, 15, examples), random.integers(0, 2, examples)], axis=1)
    static[random.random((examples, 2)) < 0.2] = np.nan
    label = (random.random(examples) < 0.4).astype(np.float32)
    censored = random.random(examples) < 0.2
    drawn = np.random.default_rng([seed, 2])
    scale = np.ones(examples) if task == "risk" else 0.1 + drawn.random(examples)
    if task == "volatility":
        label = (scale * np.exp(drawn.normal(0.0, 0.3, examples))).astype(np.float32)
    elif task == "quantiles":
        label = (scale * drawn.normal(0.1, 1.0, examples)).astype(np.float32)
    label = np.where(censored, np.nan, label).astype(np.float32)
    beside = np.random.default_rng([seed, 5])
    other = beside.integers(0, 2, (examples, len(OTHER_LABELS))).astype(np.float32)
    other[beside.random(other.shape) < 0.3] = np.nan
    return SequenceStore(
        step_offsets=np.cumsum([0, *lengths]),
        observation_offsets=np.cumsum([0, *seen.sum(axis=1)]).astype(np.int64),
        step_days=np.concatenate([np.empty(0), *days]).astype(np.float32),
        observation_channel=channel.astype(np.int32),
        observation_value=value.astype(np.float32),
        static_value=static.astype(np.float32),
        label=label,
        weight=np.where(censored, 0.0, 1.0 + random.random(examples)).astype(np.float32),
        split=random.choice(np.array([0, 0, 0, 1, 2], dtype=np.int8), examples),
        cluster=random.integers(0, max(1, examples // 2), examples),
        scale=scale.astype(np.float32),
        subject=np.arange(examples),
        index_day=np.full(examples, 10_000.0),
        label_end_day=np.where(censored, np.nan, 11_826.0),
        followed_days=followed_days(label, seed),
        other_label=other,
        windows=np.empty((0, examples), dtype=np.int8),
        channels=CHANNELS,
        statics=STATICS,
        task=task,
        levels=LEVELS if task == "quantiles" else (),
        horizon="1826 days",
        resampling="none",
        other_labels=OTHER_LABELS,
    )


def with_folds(store: SequenceStore, folds: int) -> SequenceStore:
    """The store with windows as cross-fitting draws them: every cluster is scored once."""
    number = store.cluster // folds % 8
    windows = [
        np.where(store.cluster % folds == fold, TEST, np.where(number == 0, VALIDATION, TRAIN))
        for fold in range(folds)
    ]
    return replace(store, windows=np.array(windows, dtype=np.int8), resampling="cross_fitted")


def make_learnable_store(examples: int, seed: int = 0) -> SequenceStore:
    """A store whose label follows from the last value of a numeric channel, and from age."""
    random = np.random.default_rng([seed, 1])
    store = make_store(random.integers(0, 12, examples).tolist(), seed)
    last = np.full(examples, 60.0)
    owner = np.repeat(np.arange(examples), store.lengths)
    for step in np.flatnonzero(np.diff(store.observation_offsets)):
        first = store.observation_offsets[step]
        if store.observation_channel[first] == 0:
            last[owner[step]] = store.observation_value[first]
    age = np.nan_to_num(store.static_value[:, 0], nan=55.0)
    risk = 1 / (1 + np.exp(-((60.0 - last) / 10.0 + (age - 55.0) / 15.0)))
    label = (random.random(examples) < risk).astype(np.float32)
    label = np.where(np.isnan(store.label), np.nan, label).astype(np.float32)
    return replace(store, label=label, followed_days=followed_days(label, seed))


def followed_days(label: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float32]:
    """[E] as the label has it: to the horizon without an event, else to any day before."""
    random = np.random.default_rng([seed, 6])
    days = np.where(label == 0, HORIZON_DAYS, random.uniform(0.0, HORIZON_DAYS, len(label)))
    return days.astype(np.float32)


def write_store(store: SequenceStore, directory: Path) -> Path:
    """The store as the files that SequenceStore.open reads."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in TYPE_OF_ARRAY:
        np.save(directory / f"{name}.npy", getattr(store, name))
    words = {
        "channels": [asdict(channel) for channel in store.channels],
        "statics": list(store.statics),
        "task": store.task,
        "levels": list(store.levels),
        "horizon": store.horizon,
        "resampling": store.resampling,
        "other_labels": list(store.other_labels),
    }
    (directory / "sequence.json").write_text(json.dumps(words))
    return directory


def everyone(store: SequenceStore) -> npt.NDArray[np.int64]:
    return np.arange(len(store))
