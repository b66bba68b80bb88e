from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from skops.io.exceptions import UntrustedTypesFoundException

from models.calibration import sigmoid
from models.challengers import CHALLENGERS, Line, Prevalence, Trees


def drawn(size: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five columns: signal, noise, half missing with signal, always missing, constant."""
    random = np.random.default_rng(0)
    columns = random.normal(size=(size, 5)) * [3.0, 1.0, 10.0, 1.0, 0.0] + [5.0, 0.0, 90.0, 0, 2.0]
    risk = sigmoid((columns[:, 0] - 5.0) / 3.0 + (columns[:, 2] - 90.0) / 10.0 - 1.0)
    label = (random.random(size) < risk).astype(float)
    columns[random.random(size) < 0.5, 2] = np.nan
    columns[:, 3] = np.nan
    return columns, label, random.random(size) + 0.5


@pytest.mark.parametrize("name", sorted(CHALLENGERS))
def test_a_challenger_read_back_scores_the_same(name: str, tmp_path: Path) -> None:
    columns, label, weight = drawn()
    fitted = CHALLENGERS[name].fit(columns, label, weight)
    fitted.write(tmp_path)
    read = CHALLENGERS[name].read(tmp_path)
    np.testing.assert_array_equal(read.logits(columns), fitted.logits(columns))


@pytest.mark.parametrize("kind", [Line, Trees])
def test_a_challenger_learns_what_there_is(kind: type[Line | Trees]) -> None:
    columns, label, weight = drawn()
    logits = kind.fit(columns[:400], label[:400], weight[:400]).logits(columns[400:])
    assert roc_auc_score(label[400:], logits) > 0.65
    assert np.isfinite(logits).all()


def test_prevalence_is_the_weighted_share_of_positives() -> None:
    label, weight = np.array([1.0, 0.0, 0.0]), np.array([2.0, 1.0, 5.0])
    logits = Prevalence.fit(np.empty((3, 0)), label, weight).logits(np.empty((2, 0)))
    np.testing.assert_allclose(sigmoid(logits), [0.25, 0.25])


def test_the_line_is_scikit_learns_on_standardised_columns() -> None:
    columns, label, weight = drawn()
    used = columns[:, :2]
    model = LogisticRegression(C=0.01, max_iter=2000)
    scaled = (used - used.mean(axis=0)) / used.std(axis=0)
    expected = model.fit(scaled, label, sample_weight=weight).decision_function(scaled)
    found = Line.fit(used, label, weight).logits(used)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("kind", [Line, Trees])
def test_weights_matter(kind: type[Line | Trees]) -> None:
    columns, label, weight = drawn()
    mine = kind.fit(columns, label, weight).logits(columns)
    twice = kind.fit(columns, label, np.where(label == 1, 5 * weight, weight)).logits(columns)
    assert twice.mean() > mine.mean() + 0.5


def test_a_tree_file_with_anything_else_in_it_is_refused(tmp_path: Path) -> None:
    columns, label, weight = drawn()
    Trees.fit(columns, label, weight).write(tmp_path)
    foreign = HistGradientBoostingClassifier(max_iter=2).fit(columns[:, :2], label)
    foreign.planted = Path(tmp_path)
    skops.io.dump(foreign, tmp_path / "hist_gradient_boosting.skops")
    with pytest.raises(UntrustedTypesFoundException):
        Trees.read(tmp_path)
