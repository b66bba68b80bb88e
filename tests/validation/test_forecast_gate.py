"""The gate on forecasts: no skill closes it, and so does whatever nobody said."""

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.validation.audit_examples import sound_data
from tests.validation.forecast_examples import line, policy, simulated, with_owed_challengers
from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.evidence import (
    Challenger,
    Evidence,
    GateVerdict,
    PopulationEvidence,
    PredictionSource,
    dump_evidence,
    load_evidence,
)
from validation.forecast_audit import audit_forecasts
from validation.gate import judge
from validation.harms import harms
from validation.overfitting import OverfittingEvidence, broken_chain
from validation.tasks import CHALLENGERS, HarmName, Task

WHOLE = OverfittingEvidence(
    trials=3, ledger_sha256="0" * 64, chain_is_whole=True, blocks=40, pbo=0.1, deflated_sharpe=0.9
)
NO_WORSE = line()
SKILL = line(line="skill", metric="skill_mae", against=None, at_least=0.0)


def evidence(config: AuditConfig, task: Task = "volatility", **changes: Any) -> Evidence:
    market = with_owed_challengers(task, simulated(task, names=12, sessions=300))
    fields: dict[str, Any] = {
        "study": "example",
        "intended_use": "a test",
        "policy": config,
        "populations": audit_forecasts(market, config, CHALLENGERS[task]),
        "data": sound_data(),
        "prediction_source": PredictionSource(key="predict_holdout/00", sha256="0" * 64),
        "is_point_in_time": False,
        "harms": harms(market, config, CHALLENGERS[task]),
        "overfitting": WHOLE,
    }
    return Evidence.model_validate(fields | changes)


CONFIG = policy(gating=[NO_WORSE, SKILL])
EVIDENCE = evidence(CONFIG)


def test_a_network_with_skill_and_all_that_is_owed_passes() -> None:
    verdict = judge(EVIDENCE, CONFIG)
    assert verdict.is_open
    assert [each.verdict for each in verdict.lines] == ["pass", "pass", "pass"]


def test_evidence_of_forecasts_survives_its_file(tmp_path: Path) -> None:
    dump_evidence(EVIDENCE, tmp_path / "evidence.json")
    assert load_evidence(tmp_path / "evidence.json") == EVIDENCE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_point_in_time": None}, "does not say whether the universe is point in time"),
        ({"overfitting": None}, "does not say how many trials were looked at"),
        ({"overfitting": broken_chain("an entry is gone")}, "trial ledger is broken"),
        ({"populations": ()}, "holds 0 populations walk_forward"),
        ({"harms": ()}, "does not say what became of the harm survivorship"),
    ],
)
def test_what_every_audit_of_forecasts_owes_closes_the_gate(
    changes: dict[str, Any], words: str
) -> None:
    verdict = judge(EVIDENCE.model_copy(update=changes), CONFIG)
    assert not verdict.is_open
    assert words in " ".join(verdict.reasons)


@pytest.mark.parametrize("harm", get_args(HarmName))
def test_a_harm_that_was_not_looked_for_closes_the_gate(harm: str) -> None:
    kept = tuple(finding for finding in EVIDENCE.harms if finding.harm != harm)
    verdict = judge(EVIDENCE.model_copy(update={"harms": kept}), CONFIG)
    assert verdict.reasons == (f"the evidence does not say what became of the harm {harm}",)
    assert not verdict.is_open


@pytest.mark.parametrize("name", CHALLENGERS["volatility"])
def test_a_simple_model_left_out_closes_the_gate(name: str) -> None:
    others = tuple(each for each in walked().challengers if each.name != name)
    found = judged(CONFIG, challengers=others)
    assert not found.is_open
    assert f"challenger {name} was not measured in walk_forward" in found.reasons


def test_a_simple_model_that_is_named_without_a_number_was_not_measured() -> None:
    silent = {"difference": {"mae": Estimate(reason="unknown"), "qlike": Estimate(reason="no")}}
    rivals = tuple(
        each.model_copy(update=silent) if each.name == "garch" else each
        for each in walked().challengers
    )
    reasons = judged(CONFIG, challengers=rivals).reasons
    assert reasons == ("challenger garch was not measured in walk_forward",)


def test_a_loss_that_no_line_compares_closes_the_gate() -> None:
    config = CONFIG.model_copy(update={"gating": CONFIG.gating[:2]})
    assert judged(config).reasons == (
        "no line on walk_forward compares qlike with the best_challenger",
    )


CHOSEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"minimum_deflated_sharpe": 0.9}, {}, ""),
    ({"maximum_pbo": 0.1}, {}, ""),
    ({"minimum_deflated_sharpe": 0.91}, {}, "Sharpe ratio is 0.9, must be at least 0.91"),
    ({"maximum_pbo": 0.09}, {}, "overfitting is 0.1, must be at most 0.09"),
    (
        {"minimum_deflated_sharpe": 0.0},
        {"deflated_sharpe": None, "reason": "no blocks"},
        "Sharpe ratio cannot be told: no blocks",
    ),
    (
        {"maximum_pbo": 1.0},
        {"pbo": None, "pbo_reason": "one trial"},
        "overfitting cannot be told: one trial",
    ),
]


@pytest.mark.parametrize(("limits", "changes", "words"), CHOSEN)
def test_a_choice_among_trials_closes_the_gate_where_the_study_limits_it(
    limits: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    config = policy(gating=[NO_WORSE, SKILL], **limits)
    overfitting = WHOLE.model_copy(update=changes)
    found = judge(
        EVIDENCE.model_copy(update={"policy": config, "overfitting": overfitting}), config
    )
    assert found.is_open == (not words)
    assert words in " ".join(found.reasons)


# ---- one line by itself ------------------------------------------------------------------------


def walked() -> PopulationEvidence:
    return EVIDENCE.populations[1]


def judged(config: AuditConfig, **changes: Any) -> GateVerdict:
    """The example judged by other lines, with something of walk_forward replaced."""
    population = walked().model_copy(update=changes)
    found = EVIDENCE.model_copy(update={"policy": config, "populations": (population,)})
    return judge(found, config)


def interval(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, standard_error=0.1)


def challenger(name: str, mae: float, *, best: bool, low: float, high: float) -> Challenger:
    metrics = {"mae": interval(mae, mae), "qlike": interval(1 - mae, 1 - mae)}
    difference = {"mae": interval(low, high), "qlike": interval(-1, -0.5)}
    return Challenger.model_validate(
        {"name": name, "best": best, "metrics": metrics, "difference": difference}
    )


@pytest.mark.parametrize(
    ("low", "high", "tolerated", "verdict"),
    [
        (-0.2, -0.1, 0.0, "pass"),
        (-0.2, 0.001, 0.0, "cannot_tell"),
        (-0.2, 0.001, 0.002, "pass"),
        (0.001, 0.002, 0.0, "fail"),
        # Shown to be worse, though by less than what was tolerated of the uncertainty.
        (0.001, 0.002, 0.003, "fail"),
    ],
)
def test_a_greater_loss_than_the_best_challengers_fails(
    low: float, high: float, tolerated: float, verdict: str
) -> None:
    rivals = (challenger("ridge", 0.3, best=True, low=low, high=high),)
    found = judged(policy(gating=[line(at_most=tolerated)]), challengers=rivals)
    assert found.lines[0].verdict == verdict
    assert found.lines[0].level == "ridge"


def test_a_small_difference_is_written_with_the_digits_that_tell_it_from_none() -> None:
    rivals = (challenger("ridge", 0.3, best=True, low=-0.00004, high=-0.00001),)
    assert judged(policy(gating=[line()]), challengers=rivals).lines[0].words == (
        "ridge: -0.000025 (-0.000040 to -0.000010), must be at most 0: shown to hold"
    )


RIVALS = (
    challenger("ridge", 0.3, best=True, low=-0.2, high=-0.1),
    challenger("garch", 0.4, best=False, low=0.1, high=0.2),
)


def test_a_line_may_name_its_challenger() -> None:
    config = policy(gating=[line(), line(line="garch", against="garch")])
    verdicts = [each.verdict for each in judged(config, challengers=RIVALS).lines]
    assert verdicts == ["pass", "fail", "pass"]


def test_a_challenger_that_is_not_there_cannot_be_told() -> None:
    config = policy(gating=[line(), line(line="har", against="har")])
    found = judged(config, challengers=RIVALS).lines[1]
    assert (found.verdict, found.words) == ("cannot_tell", "challenger har was not measured once")


def test_the_best_challenger_of_a_line_is_the_best_in_the_lines_own_metric() -> None:
    config = policy(gating=[line(metric="qlike")])
    assert judged(config, challengers=RIVALS).lines[0].level == "garch"


def test_a_flag_on_another_challenger_than_the_best_is_not_believed() -> None:
    flipped = tuple(each.model_copy(update={"best": not each.best}) for each in RIVALS)
    found = judged(policy(gating=[line()]), challengers=flipped).lines[0]
    assert "names another challenger the best" in found.words


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.02, "pass"), (-0.01, 0.02, "cannot_tell"), (-0.02, -0.01, "fail")],
)
def test_skill_passes_only_with_its_whole_interval_above_zero(
    low: float, high: float, verdict: str
) -> None:
    metrics = walked().overall.metrics | {"skill_mae": interval(low, high)}
    overall = walked().overall.model_copy(update={"metrics": metrics})
    assert judged(CONFIG, overall=overall).lines[1].verdict == verdict


def test_a_network_that_only_guesses_has_no_skill_and_closes_the_gate() -> None:
    gating = [
        line("direction"),
        line("direction", line="skill", metric="skill_brier", against=None, at_least=0.0),
    ]
    config = policy("direction", gating=gating)
    market = with_owed_challengers("direction", simulated("direction", names=12, sessions=300))
    guesses = {
        "score": market["prevalence"] + 0.01,
        "score_walk_forward": market["prevalence"] + 0.01,
    }
    found = evidence(config, "direction").model_copy(
        update={
            "populations": audit_forecasts(
                market.with_columns(**guesses), config, CHALLENGERS["direction"]
            )
        }
    )
    verdict = judge(found, config)
    assert not verdict.is_open
    assert {each.verdict for each in verdict.lines} & {"fail", "cannot_tell"}
