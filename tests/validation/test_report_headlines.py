"""The first page of forecasts in sentences, from estimates written by hand."""

import pytest

from tests.validation.forecast_report_samples import TRIALS, forecast_evidence, rejudged
from validation.estimates import Estimate
from validation.evidence import Challenger, Evidence, LineVerdict
from validation.report.closing import why_closed
from validation.report.formatting import Unit, interval, limit
from validation.report.harm_words import finding_group, harms_looked_for
from validation.report.headlines import headlines
from validation.report.overfitting_words import likelihood
from validation.report.units import Units, units
from validation.tasks import MetricName, Task

ABOVE = Estimate(value=0.0413, low=0.0304, high=0.0521, standard_error=0.006)
AROUND = Estimate(value=0.0013, low=-0.0204, high=0.0221, standard_error=0.011)
BELOW = Estimate(value=-0.0313, low=-0.0404, high=-0.0221, standard_error=0.005)
UNKNOWN = Estimate(reason="fewer than 10 blocks of time")
MINUS = "\N{MINUS SIGN}"


def with_metrics(task: Task, metrics: dict[MetricName, Estimate]) -> Evidence:
    """Evidence whose walk-forward metrics and challengers are written by hand."""
    evidence = forecast_evidence(task)
    holdout, walked = evidence.populations
    overall = walked.overall.model_copy(update={"metrics": metrics})
    walked = walked.model_copy(update={"overall": overall, "challengers": ()})
    holdout = holdout.model_copy(
        update={"overall": overall, "challengers": (), "gaps": (), "groups": ()}
    )
    return rejudged(evidence, populations=(holdout, walked))


def said(evidence: Evidence) -> dict[str, str]:
    return {line.title: line.words for line in headlines(evidence)}


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (ABOVE, "The quantiles beat the random walk by 4.1 % (3.0 to 5.2) in quantile loss."),
        (
            AROUND,
            f"The quantiles are no better than the random walk: skill 0.1 % ({MINUS}2.0 to 2.2) in "
            "quantile loss, an interval that holds 0.",
        ),
        (
            BELOW,
            f"The quantiles are worse than the random walk: skill {MINUS}3.1 % ({MINUS}4.0 to "
            f"{MINUS}2.2) in quantile loss, all of it below 0.",
        ),
        (
            UNKNOWN,
            "Whether the quantiles beat the random walk cannot be told: fewer than 10 blocks of "
            "time.",
        ),
        (
            Estimate(value=0.0413),
            "Whether the quantiles beat the random walk cannot be told: the skill of 4.1 % has no "
            "interval.",
        ),
    ],
)
def test_the_skill_of_quantiles_is_said_with_its_interval(skill: Estimate, words: str) -> None:
    assert said(with_metrics("quantiles", {"skill": skill}))["Skill (walk-forward)"] == words


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (ABOVE, "The median beats the last price by 4.1 % (3.0 to 5.2) in absolute error."),
        (
            AROUND,
            f"The median is no better than the last price: skill 0.1 % ({MINUS}2.0 to 2.2) in "
            "absolute error, an interval that holds 0.",
        ),
        (
            UNKNOWN,
            "Whether the median beats the last price cannot be told: fewer than 10 blocks of time.",
        ),
    ],
)
def test_whether_the_median_beats_the_last_price_is_said(skill: Estimate, words: str) -> None:
    assert said(with_metrics("quantiles", {"skill_mae": skill}))["The middle"] == words


@pytest.mark.parametrize("skill", [AROUND, BELOW])
def test_nobody_could_tell_the_direction_unless_all_of_the_interval_is_above_0(
    skill: Estimate,
) -> None:
    words = said(with_metrics("direction", {"skill_brier": skill}))["Skill (walk-forward)"]
    assert words.startswith(
        "Nobody could tell from these forecasts whether the next session closes higher: skill "
        "over always saying how often prices rise "
    )
    better = said(with_metrics("direction", {"skill_brier": ABOVE}))["Skill (walk-forward)"]
    assert better.startswith("The forecasts beat always saying how often prices rise by 4.1 %")


def test_calls_of_the_direction_stand_beside_always_saying_up() -> None:
    evidence = with_metrics("direction", {"hit_rate": Estimate(value=0.512, low=0.50, high=0.52)})
    holdout, walked = evidence.populations
    counts = walked.overall.counts.model_copy(update={"rows": 1000, "positives": 531})
    overall = walked.overall.model_copy(update={"counts": counts})
    walked = walked.model_copy(update={"overall": overall})
    changed = evidence.model_copy(update={"populations": (holdout, walked)})
    assert said(changed)["Direction"] == (
        "The direction was called right in 51.2 % (50.0 to 52.0) of rows; always saying “up” would "
        "have been right in 53.1 % (531 of 1,000)."
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.88, 0.92, "and the interval holds it."),
        (0.80, 0.85, "so the range is too narrow."),
        (0.93, 0.97, "so the range is too wide."),
    ],
)
def test_the_range_holds_what_it_claims_or_is_too_narrow_or_too_wide(
    low: float, high: float, words: str
) -> None:
    covered = Estimate(value=(low + high) / 2, low=low, high=high)
    assert said(with_metrics("quantiles", {"coverage_90": covered}))["The range"].endswith(words)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (
            Estimate(value=-0.002, low=-0.003, high=-0.001),
            "The network is better in MAE by 0.0020 (0.0010 to 0.0030).",
        ),
        (
            Estimate(value=0.002, low=0.001, high=0.003),
            "GARCH(1,1) is better in MAE by 0.0020 (0.0010 to 0.0030).",
        ),
        (
            Estimate(value=0.001, low=-0.001, high=0.003),
            "The network is neither shown to be better nor worse: network minus",
        ),
        (UNKNOWN, "How the network compares with it cannot be told."),
    ],
)
def test_the_best_simple_model_is_named_and_compared(difference: Estimate, words: str) -> None:
    evidence = with_metrics("volatility", {"skill_mae": ABOVE})
    best = Challenger(
        name="garch",
        best=True,
        metrics={"mae": Estimate(value=0.1002)},
        difference={"mae": difference},
    )
    holdout, walked = evidence.populations
    walked = walked.model_copy(update={"challengers": (best,)})
    found = said(evidence.model_copy(update={"populations": (holdout, walked)}))
    assert found["Simple models, MAE"].startswith(
        "Of 1 simple model, GARCH(1,1) has the smallest MAE, 0.100"
    )
    assert words in found["Simple models, MAE"]


def test_in_each_loss_the_simple_model_that_is_best_in_it_is_named() -> None:
    evidence = with_metrics("volatility", {"skill_mae": ABOVE})
    lost = Estimate(value=0.022, low=0.005, high=0.048)
    won = Estimate(value=-0.022, low=-0.048, high=-0.005)
    rivals = tuple(
        Challenger(
            name=name,
            best=name == "garch",
            metrics={"mae": Estimate(value=mae), "qlike": Estimate(value=qlike)},
            difference={"mae": won, "qlike": lost},
        )
        for name, mae, qlike in (("garch", 0.1, 0.3), ("ridge", 0.2, 0.25))
    )
    holdout, walked = evidence.populations
    walked = walked.model_copy(update={"challengers": rivals})
    found = said(evidence.model_copy(update={"populations": (holdout, walked)}))
    assert found["Simple models, QLIKE"] == (
        "Of 2 simple models, ridge regression has the smallest QLIKE, 0.250. Ridge regression is "
        "better in QLIKE by 0.022 (0.005 to 0.048)."
    )
    assert found["Simple models, MAE"].endswith(
        "The network is better in MAE by 0.022 (0.005 to 0.048)."
    )


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ((0.96, 0.93, 0.99), "Volatilities are understated by 4.0 % (1.0 to 7.0)."),
        ((1.04, 1.01, 1.07), "Volatilities are overstated by 4.0 % (1.0 to 7.0)."),
        (
            (1.01, 0.97, 1.05),
            "Forecast volatilities over those that came are 1.010 (0.970 to 1.050); 1 is right.",
        ),
        (None, "Whether forecast volatilities add up to those that came cannot be told."),
    ],
)
def test_a_level_that_is_shown_to_be_wrong_is_said(
    ratio: tuple[float, float, float] | None, words: str
) -> None:
    found = UNKNOWN
    if ratio is not None:
        found = Estimate(value=ratio[0], low=ratio[1], high=ratio[2])
    assert said(with_metrics("volatility", {"relative_error": found}))["Level"] == words


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (
            AROUND,
            f"its own test years are too few to tell whether it beats the last 5 sessions (skill "
            f"0.1 % ({MINUS}2.0 to 2.2)). The rest",
        ),
        (
            UNKNOWN,
            "its own test years are too few to tell whether it beats the last 5 sessions. The",
        ),
        (BELOW, "in its own test years it is shown to be worse than the last 5 sessions (skill"),
    ],
)
def test_what_is_not_shown_of_the_released_model_itself_is_said_first(
    skill: Estimate, words: str
) -> None:
    above = with_metrics("volatility", {"skill_mae": ABOVE})
    holdout, walked = above.populations
    overall = holdout.overall.model_copy(update={"metrics": {"skill_mae": skill}})
    short = holdout.model_copy(update={"overall": overall})
    first = headlines(above.model_copy(update={"populations": (short, walked)}))[0]
    assert first.title == "The released model itself"
    assert first.words.startswith(words)
    assert "The released model itself" not in said(above)
    assert "The released model itself" not in said(
        with_metrics("volatility", {"skill_mae": AROUND})
    )


def test_the_choice_among_trials_stands_beside_the_probability_of_luck() -> None:
    evidence = forecast_evidence("volatility")
    told = TRIALS.model_copy(update={"pbo": 0.992, "trials": 29, "deflated_sharpe": 0.99999})
    words = said(evidence.model_copy(update={"overfitting": told}))["Trials"]
    assert "the luckiest of 29 would show with a probability of more than 99.9 %." in words
    assert words.endswith(
        "PBO is 99.2 %: so often the best of one half of the time fell behind the middle one in "
        "the other; a guess has 50 %."
    )
    alone = TRIALS.model_copy(update={"pbo": None, "pbo_reason": "there is one trial"})
    assert said(evidence.model_copy(update={"overfitting": alone}))["Trials"].endswith(
        "Whether the choice among trials lasts cannot be told: there is one trial."
    )


def test_a_risk_says_first_what_its_threshold_does_and_keeps_its_three_decimals() -> None:
    from tests.validation.report_samples import model_evidence

    evidence = model_evidence()
    found = evidence.populations[0].overall.metrics
    share = Unit(1, 100.0, " %")
    assert said(evidence) == {
        "At the threshold of 0.100 (holdout)": f"{interval(found['selection_rate'], share)} of all "
        f"subjects are selected; {interval(found['tpr'], share)} of the cases are among them; "
        f"{interval(found['ppv'], share)} of the selected are cases."
    }
    assert units(evidence) == Units({}, {})
    assert evidence.gate is not None
    assert why_closed(evidence) == list(evidence.gate.reasons)


# ---- why a gate is closed ----------------------------------------------------------------------


def line(**changes: object) -> LineVerdict:
    given: dict[str, object] = {
        "line": "A line",
        "kind": "value",
        "metric": "relative_error",
        "on": "walk_forward",
        "group": "overall",
        "lower": 0.8,
        "upper": 1.2,
        "estimate": Estimate(value=1.25, low=1.21, high=1.29),
        "verdict": "fail",
        "words": "words of the gate",
    }
    return LineVerdict.model_validate(given | changes)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            line(),
            "A line: Forecast / realised is 1.250 (1.210 to 1.290), asked for is 0.8 to 1.2: all "
            "of the interval lies outside.",
        ),
        (
            line(verdict="cannot_tell", estimate=Estimate(value=1.15, low=1.1, high=1.29)),
            "A line: Forecast / realised is 1.150 (1.100 to 1.290), asked for is 0.8 to 1.2: only "
            "a part of the interval lies inside.",
        ),
        (
            line(kind="gap", group="sector", level="energy", lower=-0.15, upper=0.15),
            "A line: sector energy differs too much from the rest: its Forecast / realised less "
            f"that of all others is 1.250 (1.210 to 1.290), asked for is {MINUS}0.15 to 0.15.",
        ),
        (
            line(metric="skill_mae", verdict="cannot_tell", estimate=AROUND, lower=0.0, upper=None),
            "A line: the forecasts are no better than the last 5 sessions: skill 0.1 % "
            f"({MINUS}2.0 to 2.2), asked for is at least 0 %.",
        ),
        (
            line(verdict="cannot_tell", estimate=UNKNOWN),
            "A line: this cannot be told, fewer than 10 blocks of time.",
        ),
        (
            line(
                kind="challenger",
                metric="mae",
                level="har",
                lower=None,
                upper=0.002,
                verdict="cannot_tell",
                estimate=Estimate(value=0.001, low=-0.001, high=0.003),
            ),
            "A line: it is not shown that the network is no worse than HAR: MAE of the network "
            f"minus that of HAR is 0.0010 ({MINUS}0.0010 to 0.0030); at most 0.002 is tolerated.",
        ),
    ],
)
def test_each_line_that_does_not_hold_is_one_sentence(found: LineVerdict, words: str) -> None:
    evidence = forecast_evidence("volatility")
    assert evidence.gate is not None
    gate = evidence.gate.model_copy(
        update={
            "verdict": found.verdict,
            "lines": (found,),
            "reasons": ("rows do not add up", f"{found.line}: {found.words}"),
        }
    )
    assert why_closed(evidence.model_copy(update={"gate": gate})) == ["rows do not add up", words]


# ---- numbers and harms -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "decimals"), [(0.05, 3), (0.0008, 5), (0.00005, 6), (1e-8, 3), (2.0, 3)]
)
def test_a_metric_has_as_many_decimals_as_its_narrowest_interval_needs(
    width: float, decimals: int
) -> None:
    narrow = Estimate(value=0.5, low=0.5, high=0.5 + width)
    evidence = with_metrics("quantiles", {"pinball": narrow, "skill": narrow})
    assert units(evidence).value("pinball") == Unit(decimals)
    assert units(evidence).value("never_measured") == Unit(3)


def test_shares_are_written_in_percent_and_their_gaps_in_points() -> None:
    written = units(forecast_evidence("quantiles"))
    assert written.value("coverage_90").sign == " %"
    assert written.gap("coverage_90").sign == " points"
    share = Unit(1, 100.0, " %")
    assert interval(Estimate(value=0.9, low=0.89, high=0.915), share) == "90.0 % (89.0 to 91.5)"
    assert limit(line(), share) == "80.0 to 120.0 %"


@pytest.mark.parametrize(
    ("probability", "written"),
    [(0.5, "50.0 %"), (1.0, "more than 99.9 %"), (0.0, "less than 0.1 %"), (0.0794, "7.9 %")],
)
def test_a_probability_is_never_rounded_to_certainty(probability: float, written: str) -> None:
    assert likelihood(probability) == written


def test_where_delisted_names_are_there_survivorship_is_told() -> None:
    evidence = forecast_evidence("volatility")
    unseen = evidence.harms[-1]
    assert finding_group(unseen) == "all rows less those still listed"
    told = unseen.model_copy(update={"alarm": False, "estimate": AROUND, "metric": "skill_mae"})
    whole = evidence.model_copy(
        update={"harms": (*evidence.harms[:-1], told), "is_point_in_time": True}
    )
    found = harms_looked_for(whole)[-1]
    assert (found.name, found.state) == ("Survivorship", "no_alarm")
    assert found.found == "Not one of 1 gap is shown to differ from zero."
