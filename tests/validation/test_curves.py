"""Curves agree with the metrics they belong to, and no point stands for a few people."""

import numpy as np
import pytest

from tests.validation.audit_examples import logistic, policy
from validation.curves import curves
from validation.evidence import Curves
from validation.ranking import FloatArray, auroc


def sample(rows: int = 4000) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(1)
    x = rng.normal(-1.5, 1.0, rows)
    y = (rng.random(rows) < logistic(x)).astype(np.float64)
    return y, logistic(x), np.where(rng.random(rows) < 0.2, 0.0, 1.0)


def drawn(rows: int = 4000) -> Curves:
    y, score, weight = sample(rows)
    return curves(y, score, weight, np.arange(rows), policy())


def test_the_area_under_the_drawn_curve_is_the_auroc() -> None:
    y, score, weight = sample()
    roc = drawn().roc
    area = np.trapezoid([point.y for point in roc], [point.x for point in roc])
    assert area == pytest.approx(auroc(y, score, weight[None])[0], abs=0.003)


def test_a_roc_curve_runs_from_corner_to_corner_and_never_back() -> None:
    roc = np.array([(point.x, point.y) for point in drawn().roc])
    np.testing.assert_allclose(roc[[0, -1]], [[0, 0], [1, 1]])
    assert (np.diff(roc, axis=0) >= 0).all()


def test_precision_at_full_recall_is_the_prevalence() -> None:
    y, _, weight = sample()
    last = drawn().precision_recall[-1]
    assert last.x == pytest.approx(1.0)
    assert last.y == pytest.approx(weight @ y / weight.sum())


def test_between_two_points_of_a_curve_lie_at_least_eleven_subjects() -> None:
    _, _, weight = sample(300)
    known = int((weight > 0).sum())
    assert len(drawn(300).roc) - 1 <= known // 11


def test_calibration_bins_hold_everybody_and_rise() -> None:
    _, _, weight = sample()
    bins = drawn().calibration
    assert sum(each.subjects for each in bins) == (weight > 0).sum()
    predicted = [each.predicted for each in bins]
    assert predicted == sorted(predicted)
    assert len(bins) > 5


def test_calibrated_scores_lie_within_most_of_their_intervals() -> None:
    inside = [
        each.observed.low <= each.predicted <= each.observed.high
        for each in drawn().calibration
        if each.observed.low is not None and each.observed.high is not None
    ]
    assert sum(inside) >= 0.7 * len(drawn().calibration)


def test_no_calibration_bin_stands_for_few_events() -> None:
    for rows in (300, 600, 4000):
        bins = drawn(rows).calibration
        smallest = min(round((each.observed.value or 0.0) * each.subjects) for each in bins)
        assert smallest >= 11 or len(bins) == 1


def test_tied_scores_are_never_cut() -> None:
    y, score, weight = sample()
    found = curves(y, np.round(score, 1), weight, np.arange(len(y)), policy())
    assert len(found.roc) <= 12
    assert len(found.calibration) <= 11


def test_with_too_few_events_there_is_no_curve() -> None:
    y, score, weight = sample(60)
    assert curves(y, score, weight, np.arange(60), policy()) == Curves()


def test_weights_of_a_draw_decide_the_intervals_and_not_the_points() -> None:
    y, score, weight = sample()
    clusters = np.arange(len(y))

    def only_as_they_are(counts: FloatArray) -> FloatArray:
        return np.broadcast_to(weight, counts.shape)

    fixed = curves(y, score, weight, clusters, policy(), only_as_they_are)
    assert (fixed.roc, fixed.precision_recall) == (drawn().roc, drawn().precision_recall)
    for one, usual in zip(fixed.calibration, drawn().calibration, strict=True):
        # Every draw gives the point itself: the interval is none.
        assert one.observed.value == usual.observed.value
        assert one.observed.low == pytest.approx(one.observed.value, abs=1e-12)
        assert (usual.observed.low or 0.0) < (usual.observed.value or 0.0)
