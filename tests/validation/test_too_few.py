"""The reasons for which a missing number may be put before people are a closed set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validation import forecast_examples
from tests.validation.audit_examples import policy
from validation.forecast_measuring import MeasuredForecasts
from validation.forecast_measuring import why_not as why_no_forecast
from validation.groups import Census, why_not
from validation.tasks import METRIC_NAMES, MetricName
from validation.too_few import reasons_of_too_few

COUNT = st.integers(0, 200)


@given(
    name=st.sampled_from(METRIC_NAMES),
    counted=st.builds(
        Census, subjects=COUNT, known=COUNT, positives=COUNT, negatives=COUNT, selected=COUNT
    ),
)
def test_whatever_an_audit_of_people_has_too_few_of_is_in_the_set(
    name: MetricName, counted: Census
) -> None:
    reason = why_not(name, counted, policy())
    assert reason is None or {reason, f"{reason} to compare with"} <= reasons_of_too_few(policy())


@pytest.mark.parametrize(
    ("blocks", "ranked", "reason"),
    [
        (40, 40, None),
        (4, 4, "fewer than 20 blocks of time"),
        (40, 4, "fewer than 20 blocks of time with 5 instruments a day"),
    ],
)
def test_whatever_an_audit_of_forecasts_has_too_few_of_is_in_the_set(
    blocks: int, ranked: int, reason: str | None
) -> None:
    found = MeasuredForecasts(
        rows=1, blocks=blocks, ranked_blocks=ranked, point={}, samples={"rank_ic": np.ones(1)},
        without={}, effective_blocks={},
    )  # fmt: skip
    assert why_no_forecast("rank_ic", found, 20) == reason
    allowed = reasons_of_too_few(forecast_examples.policy(minimum_blocks=20))
    assert reason is None or {reason, f"{reason} to compare with"} <= allowed


@pytest.mark.parametrize(
    "invented",
    [
        "not defined on these subjects",
        "fewer than 31 positives",
        "fewer than 30 blocks of time",
        "Fewer than 30 positives",
        "fewer than 30 positives to compare with to compare with",
        "",
    ],
)
def test_what_no_audit_says_is_not_in_the_set(invented: str) -> None:
    assert invented not in reasons_of_too_few(policy())
