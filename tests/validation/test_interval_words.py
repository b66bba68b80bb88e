import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.interval_words import interval_words
from validation.tasks import Task


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.00512, 0.00508, 0.00517), "0.005120 (0.005080 to 0.005170)"),
        ((-0.00002, -0.00005, 0.000004), "-0.000020 (-0.000050 to 0.000004)"),
        ((0.897, 0.85, 0.93), "0.897 (0.850 to 0.930)"),
        ((0.0951, 0.0931, 0.0972), "0.0951 (0.0931 to 0.0972)"),
        ((0.5, 0.5, 0.5), "0.500 (0.500 to 0.500)"),
        ((1e-16, 0.0, 2e-16), "0.000 (0.000 to 0.000)"),
    ],
)
def test_a_forecasts_interval_has_two_digits_of_its_width(
    numbers: tuple[float, float, float], words: str
) -> None:
    assert interval_words(*numbers, "quantiles") == words


def test_a_risk_has_three_decimals() -> None:
    assert interval_words(0.78349, 0.78312, 0.78371, "risk") == "0.783 (0.783 to 0.784)"


@given(st.floats(-2, 2), st.floats(1e-8, 1), st.sampled_from(["volatility", "direction"]))
def test_the_ends_of_a_forecasts_interval_are_never_written_alike(
    low: float, width: float, task: Task
) -> None:
    said = interval_words(low, low, low + width, task)
    value, rest = said.removesuffix(")").split(" (")
    lower, upper = rest.split(" to ")
    assert value == lower != upper
    assert len({len(one.split(".")[1]) for one in (value, lower, upper)}) == 1
