"""Overfitting by many trials: how much of a model's skill is that it was chosen among many.

A trial's performance is a number per block of time: the reference's loss minus the network's, its
skill. The mean of those over their standard deviation is the skill's analogue of a Sharpe ratio
per block, and what was written for backtests of strategies holds for it word by word.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations
from math import e, isfinite, sqrt
from statistics import NormalDist
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EULER_MASCHERONI = 0.5772156649015329
MINIMUM_BLOCKS = 20
CSCV_BLOCKS = 10
# 20 blocks of rows are 184,756 splits; more would only be slower.
MOST_CSCV_BLOCKS = 20
# Less variance than this share of the mean square is what sums of doubles leave of none.
ROUNDING = 1e-13


class CannotTell(ValueError):
    """The number does not exist for this input; the message is the reason to show."""


class OverfittingEvidence(BaseModel):
    """What the trial ledger says of a model's choice; a missing number is null with its reason.

    trials: how many the ledger holds.       ledger_sha256: of its newest entry.
    blocks: of time, over which the trials are compared.
    pbo: probability of backtest overfitting, null with ``pbo_reason``.
    sharpe: the model's skill per block, mean over standard deviation.
    expected_maximum_sharpe: what the best of as many trials without skill reaches by chance.
    deflated_sharpe: probability that the true one is above that; null with ``reason``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trials: Annotated[int, Field(ge=1)] | None
    ledger_sha256: str | None
    chain_is_whole: bool
    pbo: Annotated[float, Field(ge=0, le=1)] | None = None
    pbo_reason: str | None = None
    deflated_sharpe: Annotated[float, Field(ge=0, le=1)] | None = None
    sharpe: float | None = None
    expected_maximum_sharpe: float | None = None
    reason: str | None = None
    blocks: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _says_why_a_number_is_missing(self) -> Self:
        pairs = ((self.pbo, self.pbo_reason), (self.deflated_sharpe, self.reason))
        if any((number is None) == (reason is None) for number, reason in pairs):
            raise ValueError("a number stands without a reason, a missing one with it")
        if self.chain_is_whole == (None in (self.trials, self.ledger_sha256, self.blocks)):
            raise ValueError("a whole chain names its trials, their blocks and its head")
        if not self.chain_is_whole and (self.pbo, self.deflated_sharpe) != (None, None):
            raise ValueError("a broken chain gives no number")
        return self


def overfitting_evidence(
    trials: Sequence[Sequence[float]],
    own: int,
    ledger_sha256: str,
    *,
    looked_at: int | None = None,
) -> OverfittingEvidence:
    """Judge trial ``own`` among ``trials`` [N][T]: skill per block, the same blocks for all.

    looked_at: trials in the ledger, when some of them cannot be compared with these.

    Raises:
        ValueError: no trial, unequal lengths, a number that is not finite, or no trial ``own``.
    """
    performance = _finite(np.asarray(trials, dtype=np.float64).T)
    rows, columns = performance.shape
    count = max(looked_at or columns, columns)
    if not 0 <= own < columns:
        raise ValueError("the judged trial is not among the trials")
    return OverfittingEvidence(
        trials=count,
        ledger_sha256=ledger_sha256,
        chain_is_whole=True,
        blocks=rows,
        **_pbo_or_reason(performance),
        **_skill_or_reason(performance, own, count),
    )


def broken_chain(reason: str) -> OverfittingEvidence:
    """The ledger cannot be believed: no number, and the gate closes."""
    return OverfittingEvidence(
        trials=None, ledger_sha256=None, chain_is_whole=False, pbo_reason=reason, reason=reason
    )


# ---- probability of backtest overfitting ------------------------------------------------------


def probability_of_backtest_overfitting(
    performance: FloatArray, blocks: int = CSCV_BLOCKS
) -> float:
    """Share of splits in which the trial best in sample is at best the median out of sample.

    Combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu, Journal
    of Computational Finance 20, 2017): cut the rows into ``blocks``, take every half of them as
    the sample, choose the trial with the highest Sharpe ratio there, and look up its rank r among
    the N trials on the other half. PBO is the share of splits with log(w / (1 - w)) <= 0, where
    w = r / (N + 1). Equal ratios share a mid-rank; where several trials are best in sample, each
    counts an equal part of the split. Trials equal in every row are one trial: copies were never a
    choice, and would move the ranks of all others.

    performance [T, N]: of trial n in period t; T >= 2 ``blocks``.

    Raises:
        CannotTell: fewer than two trials, or all the same.
        ValueError: too few rows, an odd or impossible number of blocks, or a number that is not
            finite.
    """
    distinct = np.unique(_finite(performance), axis=1)
    if distinct.shape[1] < 2:
        raise CannotTell("no two trials differ: there was nothing to choose among")
    if blocks % 2 or not 2 <= blocks <= MOST_CSCV_BLOCKS or len(distinct) < 2 * blocks:
        raise ValueError("blocks are even in number, at most 20, of two rows or more each")
    moments = _block_moments(distinct, blocks)
    halves = _halves(blocks)
    return _share_not_above_median(_sharpes(halves, moments), _sharpes(~halves, moments))


def _block_moments(performance: FloatArray, blocks: int) -> FloatArray:
    """[S, 3, N]: rows, sum and sum of squares of each block of consecutive rows."""
    parts = np.array_split(performance, blocks)
    return np.stack(
        [np.stack([np.full(p.shape[1], len(p)), p.sum(0), (p * p).sum(0)]) for p in parts]
    )


def _halves(blocks: int) -> BoolArray:
    """[splits, S]: True where the block is in the sample; every half of the blocks once."""
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    halves = np.zeros((len(chosen), blocks), dtype=np.bool_)
    np.put_along_axis(halves, chosen, True, axis=1)
    return halves


def _sharpes(halves: BoolArray, moments: FloatArray) -> FloatArray:
    """Sharpe ratio [splits, N] of each trial over the chosen blocks; without variance +-inf or 0.

    Added block by block and not by a matrix product, whose rounding depends on the column: equal
    trials must stay equal.
    """
    rows, total, squares = np.zeros((3, len(halves), moments.shape[2]))
    for chosen, (block_rows, block_total, block_squares) in zip(halves.T, moments, strict=True):
        part = chosen[:, None]
        rows += part * block_rows
        total += part * block_total
        squares += part * block_squares
    mean, square = total / rows, squares / rows
    variance = square - mean * mean
    varies = variance > ROUNDING * square
    ratio = np.where(mean == 0.0, 0.0, np.copysign(np.inf, mean))
    np.divide(mean, np.sqrt(variance, where=varies, out=np.ones_like(mean)), ratio, where=varies)
    return ratio


def _share_not_above_median(in_sample: FloatArray, out_of_sample: FloatArray) -> float:
    """Both [splits, N]; the mean over splits of: logit of the chosen trial's rank <= 0."""
    split, trial = np.nonzero(in_sample == in_sample.max(axis=1, keepdims=True))
    others = out_of_sample[split]
    own = out_of_sample[split, trial][:, None]
    below, equal = (others < own).sum(axis=1), (others == own).sum(axis=1)
    relative_rank = (below + (equal + 1) / 2) / (others.shape[1] + 1)
    overfit = np.log(relative_rank / (1.0 - relative_rank)) <= 0.0
    return float(np.mean(np.bincount(split, overfit) / np.bincount(split)))


# ---- deflated Sharpe ratio --------------------------------------------------------------------


def deflated_sharpe(
    series: FloatArray, sharpe_of_trials: Sequence[float], *, trials: int | None = None
) -> float:
    """Probability that the true Sharpe ratio exceeds the best that chance gives to N trials.

    Phi((SR - SR0) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)), where SR is the ratio of
    ``series``, g3 and g4 its skewness and kurtosis (3 if normal) and SR0 the expected maximum of N
    trials without skill: Bailey and Lopez de Prado, Journal of Portfolio Management 40(5), 2014.
    One trial gives the probabilistic Sharpe ratio against 0.
    Periods are taken as independent, trials too. Where skill outlives a block of time, periods
    depend on each other, T counts more than was learned and the answer is too sure: too near 1
    or 0. Dependent trials make SR0 too high, so the answer too low.

    series [T]: skill per block.   sharpe_of_trials [n]: of all comparable trials, this one too.
    trials: N where more were looked at than can be compared.

    Raises:
        CannotTell: the series does not vary, or takes two values that give no standard error.
        ValueError: what ``expected_maximum_sharpe`` says.
    """
    ratio = sharpe_ratio(series)
    standard = (series - series.mean()) / series.std()
    return probabilistic_sharpe(
        ratio,
        expected_maximum_sharpe(sharpe_of_trials, trials=trials),
        periods=len(series),
        skewness=float(np.mean(standard**3)),
        kurtosis=float(np.mean(standard**4)),
    )


def probabilistic_sharpe(
    ratio: float, benchmark: float, *, periods: int, skewness: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe ratio is above ``benchmark``, given the one observed.

    Bailey and Lopez de Prado, Journal of Risk 15, 2012; ratios per period, kurtosis 3 if normal.

    Raises:
        CannotTell: the ratio has no standard error: the series took two values only.
    """
    # As kurtosis >= 1 + skewness^2 this is never negative.
    spread = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio
    if spread <= ROUNDING:
        raise CannotTell("the skill takes two values, for which the ratio has no standard error")
    return NormalDist().cdf((ratio - benchmark) * sqrt(periods - 1) / sqrt(spread))


def expected_maximum_sharpe(
    sharpe_of_trials: Sequence[float], *, trials: int | None = None
) -> float:
    """Highest Sharpe ratio to expect of N independent trials whose true ratios are all 0.

    sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))): V the variance of the trials' ratios, g the
    Euler-Mascheroni constant, Z the normal quantile; Bailey and Lopez de Prado 2014, equation 1.
    0 for one trial: nothing was chosen.

    Raises:
        CannotTell: N > 1 with less than two ratios to go by.
        ValueError: a ratio that is not finite, or more of them than trials.
    """
    count = len(sharpe_of_trials) if trials is None else trials
    if not 1 <= count >= len(sharpe_of_trials) or not all(map(isfinite, sharpe_of_trials)):
        raise ValueError("the trials' Sharpe ratios are finite numbers, one a trial at most")
    if count == 1:
        return 0.0
    if len(sharpe_of_trials) < 2:
        raise CannotTell("no other trial can be compared: how the trials differ is unknown")
    quantile = NormalDist().inv_cdf
    normal = (1.0 - EULER_MASCHERONI) * quantile(1.0 - 1.0 / count)
    return float(np.std(sharpe_of_trials, ddof=1)) * (
        normal + EULER_MASCHERONI * quantile(1.0 - 1.0 / (count * e))
    )


def sharpe_ratio(series: FloatArray) -> float:
    """Mean over standard deviation (divisor T - 1) of a series [T].

    Raises:
        CannotTell: the series does not vary.
    """
    if len(series) < 2 or series.var() <= ROUNDING * np.mean(series * series):
        raise CannotTell("the skill is the same in every block, so it has no Sharpe ratio")
    return float(series.mean() / series.std(ddof=1))


# ---- numbers or the reason why not ------------------------------------------------------------


def _finite(performance: FloatArray) -> FloatArray:
    if performance.ndim != 2 or performance.shape[1] < 1 or not np.isfinite(performance).all():
        raise ValueError("performance is a table [T, N] of finite numbers")
    return performance


def _pbo_or_reason(performance: FloatArray) -> dict[str, Any]:
    try:
        _require_enough_blocks(performance)
        return {"pbo": probability_of_backtest_overfitting(performance)}
    except CannotTell as why:
        return {"pbo_reason": str(why)}


def _skill_or_reason(performance: FloatArray, own: int, count: int) -> dict[str, Any]:
    try:
        _require_enough_blocks(performance)
        ratio = sharpe_ratio(performance[:, own])
        known = _known_ratios(performance)
        return {
            "sharpe": ratio,
            "expected_maximum_sharpe": expected_maximum_sharpe(known, trials=count),
            "deflated_sharpe": deflated_sharpe(performance[:, own], known, trials=count),
        }
    except CannotTell as why:
        return {"reason": str(why)}


def _require_enough_blocks(performance: FloatArray) -> None:
    rows = len(performance)
    if rows < MINIMUM_BLOCKS:
        raise CannotTell(
            f"the trials share {rows} blocks of time; at least {MINIMUM_BLOCKS} are needed"
        )


def _known_ratios(performance: FloatArray) -> list[float]:
    """Of the trials whose skill varies; one that never differs from the reference has none."""
    ratios = []
    for series in performance.T:
        with suppress(CannotTell):
            ratios.append(sharpe_ratio(series))
    return ratios
