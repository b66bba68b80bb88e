"""The reports that an audit writes: beside the audit before it, and of what readers may see."""

import json
from pathlib import Path

from pipelines.stages.audit_model import Around, _write_reports
from tests.validation.html_pages import Page
from tests.validation.report_samples import closed_evidence, model_evidence


def test_the_reports_say_what_changed_since_the_audit_before_and_which_audit_they_are(
    tmp_path: Path,
) -> None:
    now, before = closed_evidence(), model_evidence()
    _write_reports(now, Around("audit_model/00ff", before), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert said["since_the_last_audit"]["changes"]
    for words in said["since_the_last_audit"]["words"]:
        assert words in Page(page).text
    assert "audit_model/00ff" in page
    assert "audit_model/00ff" in json.dumps(said["inventory"])


def test_what_the_reports_say_of_a_group_then_or_now_is_rounded_as_every_reader_sees_it(
    tmp_path: Path,
) -> None:
    now, before = closed_evidence(), model_evidence()
    _write_reports(now, Around("audit_model/00ff", before), tmp_path)
    written = "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    exact = [
        repr(gap.estimate.value)
        for evidence in (now, before)
        for population in evidence.populations
        for gap in population.gaps
        if gap.estimate.value is not None and len(repr(gap.estimate.value)) > 8
    ]
    assert exact
    assert not [number for number in exact if number in written]
