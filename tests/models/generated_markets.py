"""Small markets made of chance: returns whose volatility comes and goes, as a sequence store."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.store import NO_SPLIT, TEST, TRAIN, VALIDATION, Channel, SequenceStore
from tests.models.generated_stores import LEVELS

Floats = npt.NDArray[np.float64]

CHANNELS = (Channel("log_return", "numeric"), Channel("log_absolute_return", "numeric"))
STATICS = ("log_volatility_1", "log_volatility_5", "log_volatility_22", "log_ewma_volatility")
LOOKBACK = 22
AHEAD = 5
FIRST_DAY = 10_957.875  # a close at 21:00 UTC


@dataclass(frozen=True)
class Market:
    """Daily log returns [sessions, subjects] and the deviation that each was drawn with."""

    returns: Floats
    deviation: Floats


def draw_market(sessions: int, subjects: int, seed: int = 0) -> Market:
    """A log volatility that reverts to its mean within months, shared in part by all."""
    random = np.random.default_rng([seed, 3])
    level = np.zeros(subjects)
    deviation = np.empty((sessions, subjects))
    for session in range(sessions):
        shock = 0.8 * random.normal() + 0.6 * random.normal(size=subjects)
        level = 0.98 * level + 0.12 * shock
        deviation[session] = 0.012 * np.exp(level)
    return Market(deviation * random.normal(size=deviation.shape), deviation)


def make_market(
    task: str, sessions: int = 160, subjects: int = 6, windows: int = 2, seed: int = 0
) -> SequenceStore:
    """One example per subject and session after the first 22, walked forward in `windows`.

    The last `AHEAD` sessions have no label yet. Of a session in eight nothing is known.
    """
    returns = draw_market(sessions, subjects, seed).returns
    known = np.random.default_rng([seed, 4]).random(returns.shape) < 0.875
    at = np.arange(LOOKBACK, sessions)
    session, subject = (a.ravel() for a in np.meshgrid(at, np.arange(subjects), indexing="ij"))
    steps = session[:, None] + np.arange(1 - LOOKBACK, 1)  # [E, 22]
    seen = known[steps, subject[:, None]]
    observed = np.arange(int(seen.sum()) + 1)
    value = returns[steps, subject[:, None]][seen]
    both = np.stack([value, np.log(np.abs(value) + 1e-4)], axis=1).ravel()
    statics = _statics(returns)[session, subject]
    decided = session + AHEAD < sessions
    label = np.where(decided, _labels(task, returns)[session, subject], np.nan)
    step_days = np.broadcast_to(np.arange(1.0 - LOOKBACK, 1.0), seen.shape)[seen]
    split = _walk(session, windows)
    return SequenceStore(
        step_offsets=np.concatenate([[0], np.cumsum(seen.sum(axis=1))]),
        observation_offsets=2 * observed,
        step_days=step_days.astype(np.float32),
        observation_channel=np.tile(np.array([0, 1], np.int32), observed[-1]),
        observation_value=both.astype(np.float32),
        static_value=statics.astype(np.float32),
        label=label.astype(np.float32),
        weight=decided.astype(np.float32),
        split=split[-1],
        cluster=session // 5,
        scale=_scale(task, statics).astype(np.float32),
        subject=subject + 1_000,
        index_day=(FIRST_DAY + session).astype(np.float64),
        label_end_day=np.where(decided, FIRST_DAY + session + AHEAD, np.nan),
        followed_days=np.where(decided, AHEAD, np.nan).astype(np.float32),
        other_label=np.empty((len(label), 0), np.float32),
        windows=split,
        channels=CHANNELS,
        statics=STATICS,
        task=task,
        levels=LEVELS if task == "quantiles" else (),
        horizon=f"{AHEAD} sessions",
        resampling="walk_forward",
        other_labels=(),
    )


def _statics(returns: Floats) -> Floats:
    """[sessions, subjects, 4] log volatilities of the last 1, 5, 22 sessions and the EWMA."""
    found = []
    for length in (1, 5, 22):
        square = np.zeros_like(returns)
        for back in range(length):
            square += np.roll(returns**2, back, axis=0)
        found.append(_annualised(square / length))
    ewma, mean = np.empty_like(returns), np.full(returns.shape[1], 1e-4)
    for session, square in enumerate(returns**2):
        mean = ewma[session] = 0.94 * mean + 0.06 * square
    return np.log(np.stack([*found, _annualised(ewma)], axis=-1))


def _labels(task: str, returns: Floats) -> Floats:
    """[sessions, subjects] what the next sessions brought."""
    ahead = np.stack([np.roll(returns, -step, axis=0) for step in range(1, AHEAD + 1)])
    if task == "volatility":
        return _annualised((ahead**2).mean(axis=0))
    if task == "quantiles":
        total: Floats = ahead.sum(axis=0)
        return total
    rose: Floats = (ahead[0] > 0).astype(np.float64)
    return rose


def _annualised(variance: Floats) -> Floats:
    volatility: Floats = np.maximum(np.sqrt(252.0 * variance), 0.02)
    return volatility


def _scale(task: str, statics: Floats) -> Floats:
    if task == "direction":
        return np.ones(len(statics))
    horizon = np.sqrt(AHEAD / 252.0) if task == "quantiles" else 1.0
    scale: Floats = np.exp(statics[:, 3]) * horizon
    return scale


def _walk(session: npt.NDArray[np.int64], windows: int) -> npt.NDArray[np.int8]:
    """[W, E]: of equal blocks of sessions the first ones train, one validates, the next tests."""
    block = (session - session.min()) * (windows + 2) // (np.ptp(session) + 1)
    last = np.array([session[block == one].max() for one in np.unique(block)])
    purged = session + AHEAD > last[block] + 1  # the label reaches beyond the next block's start
    walked = np.full((windows, len(session)), NO_SPLIT, dtype=np.int8)
    for window in range(windows):
        walked[window, (block <= window) & ~purged] = TRAIN
        walked[window, (block == window + 1) & ~purged] = VALIDATION
        walked[window, block == window + 2] = TEST
    return walked
