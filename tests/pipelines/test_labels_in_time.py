"""What goes by time knows one moment of a row: when the study's own label is decided."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipelines.cross_validation import TimeFolds, cross_validation_windows
from pipelines.errors import StudyInvalid
from pipelines.out_of_sample import cross_validate
from pipelines.splits import Assignment, Placed
from pipelines.strict_yaml import strict_yaml
from pipelines.study import load_study

WORKING = (Path(__file__).parents[2] / "studies" / "nafld_diabetes.yaml").read_text()
WALK = {"kind": "walk_forward", "first_test": "2001-01-01", "test_months": 12,
        "validation_days": 90}  # fmt: skip
HAZARD = {"model": {"head": "hazard"}}
BESIDE = [{"title": "hypertension", "codes": ["htn"]}]
CUTS = [
    {"split": WALK},
    {"split": WALK, "cross_validation": {"kind": "grouped"}},
    *({"cross_validation": {"kind": kind}} for kind in ("walk_forward", "purged")),
    {"cross_validation": {"kind": "combinatorial_purged", "folds": 5, "test_folds": 2}},
]


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    return tmp_path


def written(studies: Path, *, beside: list[dict[str, Any]], **sections: Any) -> str:
    raw = strict_yaml(WORKING)
    raw["ehr"]["outcome"]["also"] = beside
    # The study's own search and gate are of a split by cluster.
    raw.pop("tuning")
    (studies / "timed.yaml").write_text(yaml.safe_dump(raw | sections))
    return "timed"


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("learned", "beside", "words"),
    [
        (HAZARD, [], "leaves out whoever was lost to follow-up"),
        ({}, BESIDE, "hypertension may be decided later"),
        # A shorter horizon helps nobody: the own outcome may come on the first day.
        ({}, [BESIDE[0] | {"horizon_days": 30}], "hypertension may be decided later"),
    ],
)
def test_what_the_purge_knows_no_moment_of_is_refused_where_a_study_goes_by_time(
    studies: Path, cut: Any, learned: Any, beside: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(StudyInvalid, match=words):
        load_study(written(studies, beside=beside, **cut, **learned))


@pytest.mark.parametrize("cut", CUTS)
def test_a_study_by_time_without_them_is_read(studies: Path, cut: Any) -> None:
    assert load_study(written(studies, beside=[], **cut)).model.head != "hazard"


def test_by_cluster_a_hazard_and_outcomes_beside_are_read(studies: Path) -> None:
    read = load_study(written(studies, beside=BESIDE, **HAZARD))
    assert (read.model.head, read.records.learned_beside) == ("hazard", ["hypertension"])


def test_a_hazard_that_is_only_tried_is_refused_by_folds_of_time_too(studies: Path) -> None:
    spec = load_study(written(studies, beside=[], cross_validation={"kind": "purged"}))
    tried = spec.model.model_copy(update={"head": "hazard"})
    with pytest.raises(StudyInvalid, match="cross_validation goes by time"):
        cross_validate(spec, "build_sequences/none", tried)


def test_folds_of_time_give_the_lost_no_part_to_learn_from() -> None:
    """The reason of it all: were a hazard allowed, it would never hear of a loss."""
    rows = 40
    end = np.arange(1, rows + 1, dtype=np.float64)
    end[::4] = np.nan
    placed = Placed(np.arange(rows), np.arange(rows, dtype=np.float64), end)
    nowhere = Assignment(np.zeros(rows, np.int8), np.empty((0, rows), np.int8), "none")
    windows = cross_validation_windows(
        placed, np.zeros(rows), nowhere, TimeFolds(kind="purged", embargo_days=0)
    )
    assert not np.isin(windows[:, ::4], (0, 1)).any()
