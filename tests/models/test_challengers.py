from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from skops.io.exceptions import UntrustedTypesFoundException

from models.calibration import sigmoid
from models.challengers.probability import Line, Prevalence
from models.challengers.registry import CHALLENGERS
from models.challengers.table import Table
from models.challengers.trees import RiskTrees
from models.features import Features, build_features
from models.store import TASKS
from tests.models.generated_markets import make_market
from tests.models.generated_stores import everyone, make_store

ALL = [(task, name) for task in TASKS for name in CHALLENGERS[task]]


def drawn(size: int = 600) -> Table:
    """Five columns: signal, noise, half missing with signal, always missing, constant."""
    random = np.random.default_rng(0)
    columns = random.normal(size=(size, 5)) * [3.0, 1.0, 10.0, 1.0, 0.0] + [5.0, 0.0, 90.0, 0, 2.0]
    risk = sigmoid((columns[:, 0] - 5.0) / 3.0 + (columns[:, 2] - 90.0) / 10.0 - 1.0)
    label = (random.random(size) < risk).astype(np.float32)
    columns[random.random(size) < 0.5, 2] = np.nan
    columns[:, 3] = np.nan
    weight = (random.random(size) + 0.5).astype(np.float32)
    return table_of(columns, label, weight)


def table_of(columns: np.ndarray, label: np.ndarray, weight: np.ndarray) -> Table:
    store = make_store([0] * len(label))
    known = replace(store, label=label.astype(np.float32), weight=weight.astype(np.float32))
    names = tuple(f"column_{k}" for k in range(columns.shape[1]))
    return Table(known, Features(names, columns), everyone(store))


def part(table: Table, rows: slice) -> Table:
    return Table(table.store, table.features, table.rows[rows])


def market_table(task: str) -> Table:
    store = make_market(task)
    rows = np.flatnonzero(store.weight > 0)
    return Table(store, build_features(store, max_steps=99), rows)


@pytest.mark.parametrize(("task", "name"), ALL)
def test_a_challenger_read_back_says_the_same(task: str, name: str, tmp_path: Path) -> None:
    table = drawn() if task == "risk" else market_table(task)
    fitted = CHALLENGERS[task][name].fit(table)
    fitted.write(tmp_path)
    read, said = CHALLENGERS[task][name].read(tmp_path), fitted.predict(table)
    np.testing.assert_array_equal(read.predict(table), said)
    assert said.shape == (len(table), max(1, len(table.store.levels)))
    assert np.isfinite(said).all()
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".json", ".skops")]


@pytest.mark.parametrize("kind", [Line, RiskTrees])
def test_a_challenger_learns_what_there_is(kind: type[Line | RiskTrees]) -> None:
    table = drawn()
    logits = kind.fit(part(table, slice(400))).predict(part(table, slice(400, None)))[:, 0]
    assert roc_auc_score(table.label[400:], logits) > 0.65
    assert np.isfinite(logits).all()


def test_prevalence_is_the_weighted_share_of_positives() -> None:
    table = table_of(np.empty((3, 0)), np.array([1.0, 0.0, 0.0]), np.array([2.0, 1.0, 5.0]))
    logits = Prevalence.fit(table).predict(part(table, slice(2)))
    np.testing.assert_allclose(sigmoid(logits), [[0.25], [0.25]])


def test_the_line_is_scikit_learns_on_standardised_columns() -> None:
    table = drawn()
    used = table.columns[:, :2]
    model = LogisticRegression(C=0.01, max_iter=2000)
    scaled = (used - used.mean(axis=0)) / used.std(axis=0)
    expected = model.fit(scaled, table.label, sample_weight=table.weight).decision_function(scaled)
    alone = table_of(used, table.label, table.weight)
    np.testing.assert_allclose(Line.fit(alone).predict(alone)[:, 0], expected, atol=1e-3)


@pytest.mark.parametrize("kind", [Line, RiskTrees])
def test_weights_matter(kind: type[Line | RiskTrees]) -> None:
    table = drawn()
    heavier = np.where(table.label == 1, 5 * table.weight, table.weight)
    mine = kind.fit(table).predict(table)
    twice = kind.fit(table_of(table.columns, table.label, heavier)).predict(table)
    assert twice.mean() > mine.mean() + 0.5


@pytest.mark.parametrize(("task", "name"), ALL)
def test_the_same_challenger_fitted_again_is_the_same_files(
    task: str, name: str, tmp_path: Path
) -> None:
    table = drawn() if task == "risk" else market_table(task)
    both = [CHALLENGERS[task][name].fit(table) for _ in range(2)]
    for folder, fitted in zip(("once", "again"), both, strict=True):
        (tmp_path / folder).mkdir()
        fitted.write(tmp_path / folder)
    for file in (tmp_path / "once").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name
        if file.suffix == ".skops":
            with ZipFile(file) as archive:
                assert {each.date_time[0] for each in archive.infolist()} == {1980}


def test_a_tree_file_with_anything_else_in_it_is_refused(tmp_path: Path) -> None:
    table = drawn()
    RiskTrees.fit(table).write(tmp_path)
    foreign = HistGradientBoostingClassifier(max_iter=2).fit(table.columns[:, :2], table.label)
    foreign.planted = Path(tmp_path)
    skops.io.dump(foreign, tmp_path / "hist_gradient_boosting.skops")
    with pytest.raises(UntrustedTypesFoundException):
        RiskTrees.read(tmp_path)
