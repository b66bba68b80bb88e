"""What an audit of forecasts owes whatever its lines ask for: rivals, harms, trials, honesty."""

from collections.abc import Iterator
from typing import get_args

from validation.config import AuditConfig, uncompared_losses
from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.overfitting import OverfittingEvidence
from validation.tasks import BEST_CHALLENGER, CHALLENGERS, HarmName, losses_of


def broken_forecast(evidence: Evidence, policy: AuditConfig) -> Iterator[str]:
    """Each duty that the evidence does not do, in words; any of them closes the gate."""
    yield from _unmeasured(evidence, policy)
    for loss in uncompared_losses(policy.gating, policy.task):
        yield f"no line on walk_forward compares {loss} with the {BEST_CHALLENGER}"
    for harm in get_args(HarmName):
        # A finding that it cannot be seen is one: it was looked for, and the report says so.
        if harm not in {finding.harm for finding in evidence.harms}:
            yield f"the evidence does not say what became of the harm {harm}"
    if evidence.is_point_in_time is None:
        yield "the evidence does not say whether the universe is point in time"
    if evidence.overfitting is None:
        yield "the evidence does not say how many trials were looked at"
    elif not evidence.overfitting.chain_is_whole:
        yield "the chain of the trial ledger is broken"
    else:
        yield from _chosen_by_luck(evidence.overfitting, policy)


def _unmeasured(evidence: Evidence, policy: AuditConfig) -> Iterator[str]:
    found = [each for each in evidence.populations if each.population == "walk_forward"]
    if len(found) != 1:
        yield f"the evidence holds {len(found)} populations walk_forward"
        return
    measured = {
        each.name
        for each in found[0].challengers
        if all(
            _is_known(of.get(loss))
            for of in (each.metrics, each.difference)
            for loss in losses_of(policy.task)
        )
    }
    for name in CHALLENGERS[policy.task]:
        if name not in measured:
            yield f"challenger {name} was not measured in walk_forward"


def _is_known(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value is not None


def _chosen_by_luck(found: OverfittingEvidence, policy: AuditConfig) -> Iterator[str]:
    least, most = policy.minimum_deflated_sharpe, policy.maximum_pbo
    if least is not None:
        if found.deflated_sharpe is None:
            yield f"the deflated Sharpe ratio cannot be told: {found.reason}"
        elif found.deflated_sharpe < least:
            yield (
                f"the deflated Sharpe ratio is {found.deflated_sharpe:.4g},"
                f" must be at least {least:g}"
            )
    if most is not None:
        if found.pbo is None:
            yield f"the probability of backtest overfitting cannot be told: {found.pbo_reason}"
        elif found.pbo > most:
            yield (
                f"the probability of backtest overfitting is {found.pbo:.4g},"
                f" must be at most {most:g}"
            )
