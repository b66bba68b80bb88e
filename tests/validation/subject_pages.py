"""Pages of single subjects, for the tests that read and draw them."""

from collections.abc import Mapping
from typing import Any

from tests.validation.test_faithfulness import FAITHFUL
from validation.report.why import METHODS, SubjectPage

FACTS = [("Score", "0.1234"), ("Release", "r-0001"), ("Decision", "selected")]


def explained(attention: bool = False) -> dict[str, Any]:
    """Every method says nearly the same of four observations and an age."""
    sizes = [("hdl", 12.0, -0.75), ("age_years", None, 0.5), ("bmi", 0.0, 0.25)]
    sizes += [("sbp", 400.5, 0.125), ("sbp", 1.5, -0.0625)]
    methods = {
        name: {
            "adds_up": number < 3,
            "contributions": [
                {"channel": channel, "days_before": days, "contribution": size + number / 100}
                for channel, days, size in sizes
            ],
        }
        for number, name in enumerate(METHODS)
    }
    weights = [{"days_before": 12.0, "weight": 0.75}, {"days_before": 0.0, "weight": 0.25}]
    return {
        "answer": -1.5,
        "reference": -1.5625,
        "methods": methods,
        "attention": weights if attention else None,
    }


def subject_page(
    faithful: bool = True,
    attention: bool = False,
    *,
    measured: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
    subject: str = "4711",
) -> SubjectPage:
    """As ``equipoise why`` makes it of what faithfulness.json says was measured."""
    unfaithful = {} if faithful else {"redrawn_correlation": 0.9}
    return SubjectPage.judged(
        FAITHFUL | unfaithful if measured is None else measured,
        lambda: explained(attention) if told is None else told,
        study="nafld_diabetes",
        task="risk",
        subject=subject,
        facts=FACTS,
    )
