"""Evidence is written as it was and read only if it is whole."""

from pathlib import Path

import pytest

from tests.validation.audit_examples import policy
from validation.data_evidence import FileRows
from validation.estimates import Counts, Estimate
from validation.evidence import (
    Evidence,
    GroupPerformance,
    PopulationEvidence,
    dump_evidence,
    load_evidence,
    load_prediction_evidence,
)
from validation.tasks import METRIC_NAMES


def small_evidence(value: float | None = 0.75) -> Evidence:
    estimate = Estimate(value=value, low=0.7, high=0.8)
    overall = GroupPerformance(
        attribute="overall",
        level="all",
        counts=Counts(subjects=100, positives=50, censored=None),
        metrics=dict.fromkeys(METRIC_NAMES, estimate),
    )
    population = PopulationEvidence(
        population="holdout", overall=overall, groups=(), gaps=(), challengers=()
    )
    return Evidence(
        study="example", intended_use="a test", policy=policy(), populations=(population,)
    )


def written(tmp_path: Path, old: str = "", new: str = "") -> Path:
    """evidence.json with one change made by hand."""
    path = tmp_path / "evidence.json"
    dump_evidence(small_evidence(), path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    assert load_evidence(written(tmp_path)) == small_evidence()


def test_the_same_evidence_is_the_same_bytes(tmp_path: Path) -> None:
    dump_evidence(small_evidence(), tmp_path / "one.json")
    dump_evidence(small_evidence(), tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_cannot_become_evidence(number: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        small_evidence(number)


def test_a_nan_smuggled_past_the_models_is_not_written(tmp_path: Path) -> None:
    smuggled = Estimate.model_construct(value=float("nan"))
    evidence = small_evidence()
    overall = evidence.populations[0].overall.model_copy(update={"metrics": {"auroc": smuggled}})
    population = evidence.populations[0].model_copy(update={"overall": overall})
    with pytest.raises(ValueError, match="Out of range float"):
        dump_evidence(
            evidence.model_copy(update={"populations": (population,)}), tmp_path / "evidence.json"
        )
    assert not (tmp_path / "evidence.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"value": 0.75', '"value": NaN', "holds NaN"),
        ('"value": 0.75', '"value": Infinity', "holds Infinity"),
        ('"value": 0.75', '"value": "0.75"', "valid number"),
        ('"value": 0.75', '"value": true', "valid number"),
        ('"value": 0.75', '"value": 0.75, "value": 0.99', "names a key twice"),
        ('"value": 0.75', '"value": 0.75, "note": "trust me"', "Extra inputs"),
        ('"schema_version": 1', '"schema_version": 2', "schema_version"),
        ('"population": "holdout"', '"population": "train"', "population"),
        ('"metric": "auroc"', '"metric": "accuracy"', "metric"),
        ('"subjects": 100', '"subjects": -100', "greater than or equal to 0"),
        ('"study": "example"', '"study": null', "study"),
        ("{", "[{", "Expecting"),
    ],
)
def test_a_file_that_was_tampered_with_is_not_read(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        load_evidence(written(tmp_path, old, new))


def test_one_kind_of_evidence_is_not_read_as_the_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="PredictionEvidence"):
        load_prediction_evidence(written(tmp_path))


def test_counts_with_a_hidden_part_say_so() -> None:
    assert Counts(subjects=100, positives=None, censored=20).hidden
    assert not Counts(subjects=100, positives=50, censored=0).hidden


def test_rows_of_a_file_add_up_or_do_not() -> None:
    rows = FileRows(file="labs", rows_in=10, accepted=6, quarantined=1, duplicates=2, empty=1)
    assert rows.adds_up
    assert not rows.model_copy(update={"accepted": 7}).adds_up
