"""The release that stands is compared by the thresholds that its own audit says."""

from pathlib import Path

import pytest

from pipelines.incumbent_evidence import against_incumbent
from pipelines.study import load_study
from tests.validation.test_mitigation import POLICY, made, table_of, unfair
from validation.evidence import Evidence
from validation.incumbent_decisions import UNKNOWN_DECISIONS
from validation.mitigation.records import GroupThreshold

FRAME = unfair(3000)
MEN = GroupThreshold(level="male", threshold=0.1, fitted=True, words="")
MITIGATED = made(FRAME, table_of(FRAME).model_copy(update={"groups": (MEN,)}))
PLAIN = MITIGATED.model_copy(update={"mitigation": None})


@pytest.mark.parametrize(
    ("previous", "differs"), [(PLAIN, False), (MITIGATED, True)], ids=["one for all", "by group"]
)
def test_the_same_scores_differ_where_the_decisions_did(
    previous: Evidence, differs: bool, tmp_path: Path
) -> None:
    spec = load_study("nafld_death").model_copy(update={"audit": POLICY})
    FRAME.write_parquet(tmp_path / "predictions.parquet")
    found = against_incumbent(spec, FRAME, tmp_path / "predictions.parquet", previous)
    metrics = found.differences["cross_fitted"]
    assert metrics["auroc"].value == 0.0
    assert (metrics["selection_rate"].value != 0.0) == differs
    unknown = against_incumbent(spec, FRAME, tmp_path / "predictions.parquet", None)
    told = unknown.differences["cross_fitted"]["selection_rate"]
    assert (told.value, told.reason) == (None, UNKNOWN_DECISIONS)
