"""How often the audit's intervals hold the truth, and how often its gate errs.

Every run draws patients (six rows each, alike within a patient) from a model whose metrics are
known, and goes through the shipped functions: draws, intervals, family of gaps, gate. Beside the
gate stands what people use today: block if the largest group's TPR minus the smallest exceeds .10.

    python -m benchmarks.gate_calibration --runs 2000

Prints shares with their Monte-Carlo standard errors; exit code 1 if a bound is broken.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from time import process_time

import numpy as np
from scipy import stats

from benchmarks.simulated_patients import (
    APART,
    Groups,
    draw,
    measured_rates,
    population_of,
    threshold,
    true_values,
)
from validation.config import AuditConfig
from validation.data_evidence import CheckResult, DataEvidence, FileRows
from validation.estimates import Counts, Estimate
from validation.evidence import (
    Challenger,
    Evidence,
    Gap,
    GroupPerformance,
    PopulationEvidence,
    PredictionSource,
)
from validation.gate import judge
from validation.groups import Group, gap_of, why_not
from validation.measuring import Measured, gap, measure_parts, metrics_of, part_of
from validation.sampled import estimate_of
from validation.simultaneous import GapKey, Sides, family_of
from validation.tasks import MetricName

LIMIT = 0.10
RATES: tuple[MetricName, ...] = ("tpr", "fpr")
SCORES: tuple[MetricName, ...] = ("auroc", "observed_expected", "calibration_slope")
BASE = 0.6


def policy(at: float, draws: int) -> AuditConfig:
    """Gap lines on TPR and FPR. Ten positives are enough: the intervals must carry the claims,
    not the minimum that spares them small groups."""
    gaps = [
        {
            "line": name,
            "metric": name,
            "on": "holdout",
            "group": "group",
            "between": [-LIMIT, LIMIT],
        }
        for name in RATES
    ]
    rival = {"line": "no worse", "metric": "auroc", "on": "holdout", "group": "overall"}
    return AuditConfig.model_validate(
        {
            "threshold": at,
            "attributes": ["group"],
            "bootstrap_draws": draws,
            "minimum_positives": 12,
            "gating": [*gaps, rival | {"against": "best_challenger", "at_least": 0}],
            "predictions": {
                "minimum_rows": 1,
                "max_unknown_code_share": 0,
                "max_missing_share": 1,
                "max_score_shift_psi": 1,
                "max_selection_rate_change": 1,
            },
        }
    )


# ---- intervals -------------------------------------------------------------------------------

Held = dict[str, bool]


def coverage_of_rates(groups: Groups, draws: int, seed: int) -> Held:
    """Whether TPR and FPR of the first group, and its gap, lie in their intervals."""
    drawn = draw(groups, np.random.default_rng(seed))
    inside, outside = measured_rates(drawn, draws=draws, seed=seed)[0]
    config = policy(threshold(groups), draws)
    weights = np.array(groups.prevalences[1:]) * groups.patients[1:]
    rest = {"tpr": float(np.average(groups.tprs[1:], weights=weights)), "fpr": groups.fpr}
    own = {"tpr": groups.tprs[0], "fpr": groups.fpr}
    held: Held = {}
    for name in RATES:
        alone = metrics_of_one(inside, name, config)
        held[name] = _holds(alone, own[name])
        held[f"{name} gap"] = _holds(gap(inside, outside, name, config), own[name] - rest[name])
    return held


def metrics_of_one(found: Measured, name: MetricName, config: AuditConfig) -> Estimate:
    """The shipped estimate of one metric."""
    return estimate_of(found.sampled(name), why_not(name, found.census, config))


def coverage_of_scores(groups: Groups, draws: int, seed: int) -> Held:
    """Whether AUROC, O:E and calibration slope of the first group, and its gaps, are held."""
    drawn = draw(groups, np.random.default_rng(seed))
    population = population_of(drawn)
    config = policy(threshold(groups), draws)
    member = np.repeat(drawn.group, 6) == 0
    rows = np.flatnonzero(member), np.flatnonzero(~member)
    parts = [part_of(population, each, population.score, config) for each in rows]
    inside, outside = measure_parts(population, parts, config)
    own, rest = (true_values(prevalence) for prevalence in groups.prevalences[:2])
    found = metrics_of(inside, config)
    held: Held = {}
    for name in SCORES:
        held[name] = _holds(found[name], own[name])
        held[f"{name} gap"] = _holds(gap(inside, outside, name, config), own[name] - rest[name])
    return held


def _holds(estimate: Estimate, truth: float) -> bool:
    if estimate.low is None or estimate.high is None:
        return False
    return estimate.low <= truth <= estimate.high


# ---- gate ------------------------------------------------------------------------------------


def gate_run(groups: Groups, draws: int, seed: int) -> Held:
    """The verdict on the gap lines; whether all intervals of the family held; the peer's."""
    drawn = draw(groups, np.random.default_rng(seed))
    config = policy(threshold(groups), draws)
    sides = measured_rates(drawn, draws=draws, seed=seed)
    population = audited(sides, config)
    verdict = judge(_evidence(population, config), config)
    worst = {line.verdict for line in verdict.lines[:2]}
    outcome = next(name for name in ("fail", "cannot_tell", "pass") if name in worst)
    tprs = [each.sampled("tpr").value for each, _ in sides]
    peer = max(tprs) - min(tprs) > LIMIT
    return {
        "pass": outcome == "pass",
        "fail": outcome == "fail",
        "cannot_tell": outcome == "cannot_tell",
        "peer blocks": peer,
        "all held": all(_held_together(each, groups) for each in population.gaps),
    }


def audited(sides: Sequence[tuple[Measured, Measured]], config: AuditConfig) -> PopulationEvidence:
    """Groups and gaps as the audit puts them into the evidence."""
    pairs: dict[GapKey, Sides] = {
        ("holdout", "group", _level(k), name): (inside.sampled(name), outside.sampled(name))
        for k, (inside, outside) in enumerate(sides)
        for name in RATES
    }
    family = family_of(pairs, config)
    gaps = []
    for k, (inside, outside) in enumerate(sides):
        group = Group("group", _level(k), np.arange(0), np.arange(0))
        for name in RATES:
            tail = family.tail_of(("holdout", "group", _level(k), name))
            gaps.append(gap_of(group, name, gap(inside, outside, name, config, tail)))
    ahead = Estimate(value=0.1, low=0.05, high=0.15, standard_error=0.025)
    rival = Challenger(
        name="constant", best=True, metrics={"auroc": ahead}, difference={"auroc": ahead}
    )
    return PopulationEvidence(
        population="holdout",
        overall=GroupPerformance(attribute="overall", level="all", counts=Counts(), metrics={}),
        groups=tuple(
            GroupPerformance(
                attribute="group",
                level=_level(k),
                counts=Counts(
                    subjects=inside.census.subjects, positives=inside.census.positives, censored=0
                ),
                metrics={},
            )
            for k, (inside, _) in enumerate(sides)
        ),
        gaps=tuple(gaps),
        challengers=(rival,),
    )


def _level(k: int) -> str:
    return f"group {k:02}"


def _evidence(population: PopulationEvidence, config: AuditConfig) -> Evidence:
    checks = [
        CheckResult(name=kind, table="t", kind=kind, passed=True, words="held")
        for kind in ("contract", "leakage", "audit")
    ]
    return Evidence(
        study="simulated",
        intended_use="a simulation",
        policy=config,
        populations=(population,),
        data=DataEvidence(
            files=(FileRows(file="f", rows_in=1, accepted=1, quarantined=0, duplicates=0),),
            checks=tuple(checks),
        ),
        prediction_source=PredictionSource(key="simulated/00", sha256="0" * 64),
    )


def _held_together(found: Gap, groups: Groups) -> bool:
    truth = 0.0
    if found.metric == "tpr":
        k = int(found.level.split()[1])
        others = [i for i in range(len(groups.tprs)) if i != k]
        weights = [groups.prevalences[i] * groups.patients[i] for i in others]
        truth = groups.tprs[k] - float(
            np.average([groups.tprs[i] for i in others], weights=weights)
        )
    low, high = found.estimate.simultaneous_low, found.estimate.simultaneous_high
    return low is not None and high is not None and low <= truth <= high


# ---- settings --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One row block of the table. bounds: of a share, the least and the most allowed."""

    name: str
    run: Callable[[int], Held]
    bounds: dict[str, tuple[float, float]]


def prevalences(groups: int) -> tuple[float, ...]:
    """Unequal: from a tenth to four tenths."""
    return tuple(np.linspace(0.1, 0.4, groups).tolist())


def fair(groups: int, positives: int) -> Groups:
    """Scores alike given the label; only prevalences differ."""
    return Groups(positives, prevalences(groups), (BASE,) * groups)


def unfair(groups: int, positives: int, short: float) -> Groups:
    """The first group's TPR falls short of the others' by so much."""
    return Groups(positives, prevalences(groups), (BASE - short, *(BASE,) * (groups - 1)))


def settings(draws: int) -> Iterator[Setting]:
    """Everything that the table shows, in its order.

    From 500 positives on, half the draws do: a run costs ten times as much, and its intervals are
    near to normal.
    """
    covers = (0.93, 0.97)
    of_rates = {name: covers for rate in RATES for name in (rate, f"{rate} gap")}
    of_scores = {name: covers for score in SCORES for name in (score, f"{score} gap")}
    draws_of = {True: draws // 2, False: draws}
    for positives in (50, 100, 500):
        few = draws_of[positives >= 500]
        for tpr in (0.5, 0.8, 0.9):
            groups = Groups(positives, (0.3, 0.2, 0.4), (tpr, BASE, BASE))
            run = partial(coverage_of_rates, groups, few)
            yield Setting(f"coverage, {positives} positives, TPR {tpr}", run, of_rates)
        tpr = float(stats.norm.cdf(APART - stats.norm.isf(0.2)))
        groups = Groups(positives, (0.4, 0.3), (tpr, tpr))
        run = partial(coverage_of_scores, groups, few)
        yield Setting(f"coverage, {positives} positives, scores", run, of_scores)

    def gate(groups: Groups) -> Callable[[int], Held]:
        return partial(gate_run, groups, draws_of[groups.positives >= 500])

    for k, positives in ((6, 100), (12, 50), (20, 30), (6, 1000)):
        bounds = {"fail": (0.0, 0.05), "all held": (0.93, 1.0)}
        if positives == 1000:
            bounds["pass"] = (0.90, 1.0)
        yield Setting(f"fair, {k} x {positives}", gate(fair(k, positives)), bounds)
    for positives in (100, 1000):
        at = gate(unfair(6, positives, LIMIT))
        yield Setting(f"gap 0.10, 6 x {positives}", at, {"pass": (0.0, 0.05)})
    for positives, short, least in ((100, 0.30, 0.80), (500, 0.20, 0.90)):
        wide = gate(unfair(6, positives, short))
        yield Setting(f"gap {short:.2f}, 6 x {positives}", wide, {"fail": (least, 1.0)})


# ---- the table -------------------------------------------------------------------------------


def shares(setting: Setting, seeds: Iterable[int]) -> Counter[str]:
    """How often each thing was so."""
    found: Counter[str] = Counter()
    for seed in seeds:
        found.update({name: int(held) for name, held in setting.run(seed).items()})
    return found


def _chunk(job: tuple[int, int, range]) -> tuple[Counter[str], float]:
    at, draws, seeds = job
    before = process_time()
    return shares(list(settings(draws))[at], seeds), process_time() - before


def rows(setting: Setting, found: Counter[str], runs: int) -> Iterator[tuple[str, bool]]:
    """The setting's lines of the table, and whether each keeps its bound."""
    for name, count in found.items():
        share = count / runs
        error = (share * (1.0 - share) / runs) ** 0.5
        least, most = setting.bounds.get(name, (0.0, 1.0))
        kept = least <= share <= most
        asked = f"{least:.2f} to {most:.2f}" if name in setting.bounds else ""
        yield (
            f"{setting.name:36} {name:22} {share:.4f} +- {error:.4f}  {asked:13}"
            f" {'' if kept else 'BROKEN'}",
            kept,
        )


def main() -> int:
    """Run every setting, print the table, fail if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="settings whose name holds this")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    kept, spent = True, 0.0
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        for at, setting in enumerate(settings(asked.draws)):
            if asked.only not in setting.name:
                continue
            edges = np.linspace(0, asked.runs, 4 * asked.processes + 1).astype(int).tolist()
            jobs = [(at, asked.draws, range(a, b)) for a, b in pairwise(edges)]
            found: Counter[str] = Counter()
            for counted, seconds in pool.map(_chunk, jobs):
                found.update(counted)
                spent += seconds
            for words, holds in rows(setting, found, asked.runs):
                print(words, flush=True)
                kept = kept and holds
    print(f"{asked.runs} runs each, {asked.draws} draws, {spent:.0f} CPU-s")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
