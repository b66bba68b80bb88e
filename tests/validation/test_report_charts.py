"""The charts: every mark where the evidence puts it, and nothing outside the frame."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from validation.estimates import Estimate
from validation.evidence import CalibrationBin, CoveragePoint, CurvePoint, SeriesPoint
from validation.report.charts import calibration_chart, precision_recall_chart, roc_chart
from validation.report.forecast_charts import coverage_chart, series_chart
from validation.report.forests import ForestRow, forest_chart
from validation.report.formatting import Unit
from validation.report.svg import Scale, element, nice_step, polyline, tick_label

DIAGONAL = [CurvePoint(x=x, y=x) for x in (0.0, 0.25, 0.5, 1.0)]


def parsed(chart: Markup | None) -> ET.Element:
    assert chart is not None
    return ET.fromstring(str(chart))  # noqa: S314 - our own markup


def marks(root: ET.Element, class_: str) -> list[ET.Element]:
    return [each for each in root.iter() if each.get("class") == class_]


def place(dot: ET.Element) -> tuple[float, float]:
    return float(dot.attrib["cx"]), float(dot.attrib["cy"])


def test_a_scale_maps_its_ends_and_clips_what_lies_outside() -> None:
    scale = Scale(0.0, 2.0, 10.0, 110.0)
    assert [scale.at(v) for v in (0.0, 1.0, 2.0, 3.0, -1.0)] == [10.0, 60.0, 110.0, 110.0, 10.0]
    assert scale.ticks(4) == [0.0, 0.5, 1.0, 1.5, 2.0]


@given(st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_lie_within_their_scale_and_are_few(span: float, about: int) -> None:
    ticks = Scale(-span, span, 0.0, 1.0).ticks(about)
    assert all(abs(tick) <= span * (1 + 1e-6) for tick in ticks)
    assert 1 <= len(ticks) <= about + 1


@pytest.mark.parametrize(("rough", "step"), [(0.3, 0.5), (0.2, 0.2), (2.1, 2.5), (7.0, 10.0)])
def test_steps_are_round(rough: float, step: float) -> None:
    assert nice_step(rough) == pytest.approx(step)


def test_tick_labels_drop_needless_zeros() -> None:
    assert [tick_label(v) for v in (0.0, 0.25, -0.5, 1.0)] == [
        "0",
        "0.25",
        "\N{MINUS SIGN}0.5",
        "1",
    ]


def test_a_line_keeps_each_pixel_once() -> None:
    assert 'points="0,0 1,1"' in polyline([(0, 0), (0.01, 0.02), (1, 1)], "curve")


def test_attributes_and_words_are_escaped() -> None:
    markup = element("text", "<b>", fill='"><script>')
    assert markup == '<text fill="&#34;&gt;&lt;script&gt;">&lt;b&gt;</text>'


def test_the_roc_curve_ends_in_its_corners_with_the_threshold_on_it() -> None:
    root = parsed(roc_chart(DIAGONAL, fpr=0.5, tpr=0.25))
    points = marks(root, "curve")[0].attrib["points"].split()
    assert (points[0], points[-1]) == ("38,214", "256,22")
    assert place(marks(root, "dot")[0]) == (147.0, 166.0)
    assert "FPR 0.500, TPR 0.250" in root.attrib["aria-label"]


def test_a_curve_without_a_threshold_or_points_is_drawn_without_or_not_at_all() -> None:
    assert marks(parsed(roc_chart(DIAGONAL, None, 0.5)), "dot") == []
    assert roc_chart([], 0.1, 0.1) is None
    assert precision_recall_chart([], None, None, None) is None
    assert calibration_chart([]) is None


def test_the_precision_axis_is_set_by_the_settled_part_of_the_curve() -> None:
    points = [CurvePoint(x=0.01, y=1.0), CurvePoint(x=0.2, y=0.3), CurvePoint(x=1.0, y=0.05)]
    root = parsed(precision_recall_chart(points, 0.05, 0.2, 0.3))
    labels = [each.text for each in marks(root, "tick")]
    assert labels[-1] == "0.4"
    assert len(marks(root, "reference")) == 1


def test_a_perfectly_calibrated_bin_lies_on_the_diagonal() -> None:
    found = CalibrationBin(
        subjects=100, predicted=0.1, observed=Estimate(value=0.1, low=0.05, high=0.18)
    )
    root = parsed(calibration_chart([found]))
    x, y = place(marks(root, "dot")[0])
    # The axes end at 0.2: the bin is half way along both.
    assert (x, y) == (147.0, 118.0)
    whisker = marks(root, "whisker")[0].attrib
    assert [whisker["y1"], whisker["y2"]] == ["166", "41.2"]


def test_a_bin_that_cannot_tell_is_left_out() -> None:
    unknown = CalibrationBin(subjects=100, predicted=0.1, observed=Estimate(reason="too few"))
    assert calibration_chart([unknown]) is None


ROWS = [
    ForestRow("sex", "female", Estimate(value=-0.1, low=-0.2, high=0.0), 0.05, -0.2, 0.2),
    ForestRow("sex", "male", Estimate(reason="too few"), None, -0.2, 0.2),
    ForestRow("age band", "65+", Estimate(value=0.1, low=0.0, high=0.2), 9.0, None, None),
]


def test_a_forest_is_symmetric_around_zero_and_marks_limits_only_where_they_judge() -> None:
    root = parsed(forest_chart("Gaps in TPR", ROWS))
    zero = float(marks(root, "zero")[0].attrib["x1"])
    left, right = (place(dot)[0] for dot in marks(root, "dot"))
    assert (zero - left) == pytest.approx(right - zero, abs=0.11)
    limits = marks(root, "limit")
    assert len(limits) == 4
    # The scale spans 87 pixels each side of 181 and ends 8 % beyond the farthest mark, 0.2.
    assert zero == 181.0
    assert [limit.attrib["x1"] for limit in limits[:2]] == ["100.4", "261.6"]
    assert float(marks(root, "whisker")[0].attrib["x1"]) == 100.4
    assert [each.text for each in marks(root, "heading")] == ["sex", "age band"]
    assert [each.text for each in marks(root, "number")][1] == "cannot tell"
    assert "sex male: cannot tell" in root.attrib["aria-label"]


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 3)),
        min_size=1,
        max_size=6,
    )
)
def test_no_mark_of_a_forest_leaves_its_frame(gaps: list[tuple[float, ...]]) -> None:
    rows = [
        ForestRow("sex", str(i), Estimate(value=v, low=v - a, high=v + b), d, None, None)
        for i, (v, a, b, d) in enumerate(gaps)
    ]
    root = parsed(forest_chart("Gaps", rows))
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for each in root.iter():
        for name, limit in (("x", width), ("cx", width), ("x1", width), ("x2", width)):
            assert 0 <= float(each.get(name, 0)) <= limit
        for name in ("y", "cy", "y1", "y2"):
            assert 0 <= float(each.get(name, 0)) <= height
    assert not re.search(r"nan|inf", str(forest_chart("Gaps", rows)))


def test_the_unit_of_a_forest_moves_its_numbers_and_ticks_and_no_mark() -> None:
    plain = parsed(forest_chart("Gaps", ROWS))
    points = parsed(forest_chart("Gaps", ROWS, Unit(1, 100.0, " points")))
    assert [place(dot) for dot in marks(plain, "dot")] == [
        place(dot) for dot in marks(points, "dot")
    ]
    assert [each.text for each in marks(points, "tick")] == ["\N{MINUS SIGN}20", "0", "20"]
    assert marks(points, "number")[0].text == ("\N{MINUS SIGN}10.0 (\N{MINUS SIGN}20.0 to 0.0)")


def test_a_long_name_is_cut_and_makes_room_for_itself() -> None:
    long = ForestRow("sector", "an industry with a very long name", ROWS[0].estimate, None, 0, 0)
    root = parsed(forest_chart("Gaps", [long, ROWS[2]]))
    label = marks(root, "label")[0]
    assert label.text == "an industry with a ve\N{HORIZONTAL ELLIPSIS}"
    assert float(marks(root, "zero")[0].attrib["x1"]) > 181.0


# ---- forecasts -------------------------------------------------------------------------------


def year(number: int, *skill: float) -> SeriesPoint:
    value, low, high = skill or (None, None, None)
    reason = None if skill else "fewer than 5 blocks of time"
    return SeriesPoint(
        year=number,
        rows=100,
        skill=Estimate(value=value, low=low, high=high, reason=reason),
        loss=Estimate(value=0.1),
    )


def test_years_stand_around_the_line_of_no_skill() -> None:
    points = [year(2011, 0.02, 0.01, 0.03), year(2012, -0.02, -0.03, -0.01), year(2013)]
    root = parsed(series_chart(points, Unit(1, 100.0, " %")))
    zero = float(marks(root, "zero")[0].attrib["y1"])
    (first_x, above), (second_x, below) = (place(dot) for dot in marks(root, "dot"))
    # The scale is symmetric here: both dots stand equally far from zero, the better one above.
    assert zero - above == pytest.approx(below - zero, abs=0.11)
    assert above < zero
    assert first_x < second_x
    whisker = marks(root, "whisker")[0].attrib
    assert float(whisker["y2"]) < above < float(whisker["y1"]) < zero
    assert [each.text for each in marks(root, "tick")][-4:] == ["2011", "2012", "2013", "?"]
    assert "2011: 2.0 % (1.0 to 3.0); 2012" in root.attrib["aria-label"]
    assert "2013: cannot tell" in root.attrib["aria-label"]


def test_a_year_without_an_interval_is_a_dot_without_a_bar() -> None:
    alone = SeriesPoint(
        year=2012,
        rows=100,
        skill=Estimate(value=0.02, reason="fewer than 5 blocks of time: no interval"),
        loss=Estimate(value=0.1),
    )
    root = parsed(series_chart([year(2011, 0.02, 0.01, 0.03), alone], Unit(1, 100.0, " %")))
    (first_x, first_y), (second_x, second_y) = (place(dot) for dot in marks(root, "dot"))
    assert second_y == first_y
    assert [float(bar.attrib["x1"]) for bar in marks(root, "whisker")] == [first_x]
    assert second_x > first_x
    assert "2012: 2.0 %." in root.attrib["aria-label"]


def test_years_that_all_cannot_tell_are_not_drawn() -> None:
    assert series_chart([year(2011)], Unit()) is None
    assert series_chart([], Unit()) is None
    assert coverage_chart([]) is None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_no_mark_of_a_series_leaves_its_frame(values: list[float]) -> None:
    points = [year(2000 + i, v, v - 0.1, v + 0.1) for i, v in enumerate(values)]
    root = parsed(series_chart(points, Unit(1, 100.0, " %")))
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for each in root.iter():
        for names, limit in ((("x", "cx", "x1", "x2"), width), (("y", "cy", "y1", "y2"), height)):
            assert all(0 <= float(each.get(name, 0)) <= limit for name in names)


def test_quantiles_that_hold_what_they_claim_lie_on_the_diagonal() -> None:
    right = CoveragePoint(level=0.25, observed=Estimate(value=0.25, low=0.2, high=0.3))
    unknown = CoveragePoint(level=0.5, observed=Estimate(reason="too few"))
    root = parsed(coverage_chart([right, unknown]))
    line = marks(root, "reference")[0].attrib
    ((x, y),) = (place(dot) for dot in marks(root, "dot"))
    share = (x - float(line["x1"])) / (float(line["x2"]) - float(line["x1"]))
    assert share == pytest.approx(0.25, abs=0.001)
    down = float(line["y1"]) - float(line["y2"])
    assert (float(line["y1"]) - y) / down == pytest.approx(0.25, abs=0.001)
    assert "25 %: 25.0 % (20.0 to 30.0)" in root.attrib["aria-label"]
