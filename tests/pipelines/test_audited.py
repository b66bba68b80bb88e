"""An audit is judged as it stands, and owes what its study does."""

from pathlib import Path

import pytest

from pipelines.approvals.audited import audited
from pipelines.errors import GateClosed
from tests.dags.installations import write_studies
from tests.pipelines.approval_examples import SHOWN, asking_study, audited_study

MITIGATION = "mitigation: {attribute: sex, reweighing: true}\n"


@pytest.mark.parametrize("mitigation", ["", MITIGATION], ids=["none", "reweighing"])
def test_a_study_with_a_mitigation_releases_nothing_whose_evidence_does_not_tell_of_it(
    mitigation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = write_studies(tmp_path, demo=asking_study(SHOWN) + "\n" + mitigation)
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(studies))
    audit = audited_study("demo")
    if not mitigation:
        assert audited("demo", audit).verdict.decision == "release"
        return
    with pytest.raises(GateClosed, match="what became of the study's mitigation"):
        audited("demo", audit)
