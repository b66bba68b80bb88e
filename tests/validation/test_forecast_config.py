"""The audit section of a study of forecasts: each task has metrics and limits of its own."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.validation import audit_examples
from tests.validation.forecast_examples import line, policy, section
from validation.config import AuditConfig
from validation.tasks import (
    LOWER_IS_BETTER,
    MOST_TOLERATED,
    PRIMARY_LOSS,
    PRIMARY_SKILL,
    MetricName,
    Task,
    losses_of,
    metric_names,
)

TASKS: tuple[Task, ...] = ("volatility", "quantiles", "direction")


def refusal(task: Task, **changes: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        AuditConfig.model_validate(section(task, **changes))
    return str(refused.value)


@pytest.mark.parametrize("task", TASKS)
def test_a_forecast_has_blocks_and_a_reference_and_no_positives(task: Task) -> None:
    config = policy(task)
    assert config.is_forecast
    assert config.least_blocks == 10
    assert (config.minimum_positives, config.reference is None) == (None, False)
    with pytest.raises(ValueError, match="counts no positives"):
        _ = config.least_positives


def test_a_risk_has_positives_and_no_blocks() -> None:
    config = audit_examples.policy()
    assert (config.task, config.minimum_blocks, config.reference) == ("risk", None, None)
    with pytest.raises(ValueError, match="has no blocks of time"):
        _ = config.least_blocks


def test_twenty_blocks_are_asked_for_where_a_study_names_no_number() -> None:
    given = section("volatility")
    del given["minimum_blocks"]
    assert AuditConfig.model_validate(given).least_blocks == 20


def test_only_a_task_with_a_decision_has_a_threshold() -> None:
    assert policy("direction").selected_from == 0.5
    with pytest.raises(ValueError, match="task volatility has no threshold"):
        _ = policy("volatility").selected_from


@pytest.mark.parametrize("task", TASKS)
def test_the_primary_loss_and_skill_are_metrics_of_the_task(task: Task) -> None:
    assert PRIMARY_LOSS[task] in losses_of(task)
    assert PRIMARY_SKILL[task] in metric_names(task)
    assert set(losses_of(task)) == set(metric_names(task)) & LOWER_IS_BETTER


CHANGE = {"max_selection_rate_change": 0.1}
REFUSED: list[tuple[Task, dict[str, Any], str]] = [
    ("volatility", {"threshold": 0.5}, "threshold: task volatility has none"),
    ("direction", {"threshold": None}, "threshold: task direction needs it"),
    ("quantiles", {"minimum_positives": 50}, "minimum_positives: task quantiles has none"),
    ("quantiles", {"reference": None}, "reference: task quantiles needs it"),
    ("quantiles", {"minimum_blocks": None}, "minimum_blocks: task quantiles needs it"),
    ("quantiles", {"minimum_blocks": 4}, "minimum_blocks"),
    (
        "volatility",
        {"predictions": section("volatility")["predictions"] | CHANGE},
        "max_selection_rate_change: task volatility has none",
    ),
    (
        "volatility",
        {"predictions": section("volatility")["predictions"] | {"max_outside_share": None}},
        "max_outside_share: task volatility needs it",
    ),
    (
        "direction",
        {"predictions": section("volatility")["predictions"]},
        "max_selection_rate_change: task direction needs it",
    ),
]


@pytest.mark.parametrize(("task", "changes", "words"), REFUSED)
def test_what_belongs_to_another_task_is_refused(
    task: Task, changes: dict[str, Any], words: str
) -> None:
    assert words in refusal(task, **changes)


def test_a_task_is_one_of_four() -> None:
    with pytest.raises(ValidationError, match="Input should be 'risk', 'direction'"):
        AuditConfig.model_validate(section() | {"task": "luck"})


OUTSIDE = audit_examples.section()["predictions"] | {"max_outside_share": 0.1}


@pytest.mark.parametrize(
    "changes", [{"reference": "har"}, {"minimum_blocks": 20}, {"predictions": OUTSIDE}]
)
def test_a_risk_has_nothing_of_a_forecast(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="task risk has none"):
        audit_examples.policy(**changes)


def value_line(task: Task, metric: str, **changes: Any) -> dict[str, Any]:
    return line(task, line="another", metric=metric, against=None, at_least=0.0, **changes)


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("volatility", "pinball"),
        ("volatility", "auroc"),
        ("quantiles", "qlike"),
        ("quantiles", "brier"),
        ("direction", "mae"),
    ],
)
def test_a_line_on_a_metric_of_another_task_is_refused(task: Task, metric: str) -> None:
    words = refusal(task, gating=[line(task), value_line(task, metric)])
    assert f"{metric} is no metric of task {task}" in words


def test_a_risk_has_no_metric_of_a_forecast() -> None:
    skill = audit_examples.gating_line(line="skill", metric="skill", at_least=0)
    with pytest.raises(ValidationError, match="skill is no metric of task risk"):
        audit_examples.policy(gating=[*audit_examples.section()["gating"], skill])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on": "cross_fitted"}, "task volatility has no population cross_fitted"),
        ({"at_most": -0.1}, "tolerated loss above 0"),
        ({"at_least": 0.0}, "tolerated loss above 0"),
        ({"at_most": 0.011}, "at most 0.01 of mae may be tolerated"),
        ({"metric": "qlike", "at_most": 0.051}, "at most 0.05 of qlike may be tolerated"),
        (
            {"against": "incumbent", "at_most": 0.011},
            "at most 0.01 of mae may be tolerated against the release that stands",
        ),
        ({"against": "incumbent", "at_most": -0.1}, "tolerated loss above 0"),
        ({"metric": "skill_mae"}, "compares mae or qlike, overall"),
        ({"group": "size", "at_most": 0.0}, "compares mae or qlike, overall"),
    ],
)
def test_a_challenger_line_that_cannot_be_judged_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    assert words in refusal("volatility", gating=[line(**changes)])


def test_a_line_on_a_named_challenger_does_not_stand_for_the_best() -> None:
    named = line(line="against ridge", against="ridge")
    with pytest.raises(ValidationError, match="best_challenger"):
        AuditConfig.model_validate(section() | {"gating": [named]})
    assert policy(gating=[named, line()]).gating[0].kind == "challenger"


@pytest.mark.parametrize(
    ("task", "loss"), [(task, loss) for task in TASKS for loss in losses_of(task)]
)
def test_every_loss_is_compared_with_the_best_challenger_and_within_reason(
    task: Task, loss: MetricName
) -> None:
    lines = section(task)["gating"]
    others = [each for each in lines if each["metric"] != loss]
    holdout = line(task, line="of the holdout", metric=loss, on="holdout")
    widest = MOST_TOLERATED[task, loss]
    wider = line(task, line="wider", metric=loss, at_most=widest * 1.01)

    for gating in ([*others, holdout], [*others, wider]):
        with pytest.raises(ValidationError, match=loss):
            AuditConfig.model_validate(section(task) | {"gating": gating})
    assert policy(task, gating=[*others, line(task, line="widest", metric=loss, at_most=widest)])


@pytest.mark.parametrize("name", ["minimum_deflated_sharpe", "maximum_pbo"])
def test_a_choice_among_trials_is_limited_where_a_forecasts_study_asks(name: str) -> None:
    half: dict[str, Any] = {name: 0.5}
    assert getattr(policy(), name) is None
    assert getattr(policy(**half), name) == 0.5
    assert name in refusal("volatility", **{name: 1.5})
    with pytest.raises(ValidationError, match=f"{name}: task risk has none"):
        audit_examples.policy(**half)


def test_a_risk_is_not_compared_with_a_named_challenger() -> None:
    named = audit_examples.gating_line(line="named", against="prevalence", at_least=0)
    with pytest.raises(ValidationError, match="against must be best_challenger"):
        audit_examples.policy(gating=[*audit_examples.section()["gating"], named])
    walked = audit_examples.gating_line(line="walked", on="walk_forward")
    with pytest.raises(ValidationError, match="task risk has no population walk_forward"):
        audit_examples.policy(gating=[*audit_examples.section()["gating"], walked])
