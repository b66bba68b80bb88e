"""What changed between two audits: hand-computed differences, and what chance alone would show."""

import math

import numpy as np
import pytest

from tests.validation.html_pages import Page
from tests.validation.report_samples import closed_evidence, model_evidence
from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.incumbent import IncumbentEvidence
from validation.report.change_words import NO_AUDIT, comparison
from validation.report.comparing import Change, compare_audits
from validation.report.render import render_report

# Of a normal distribution, by a table: 1 - .05 / (2 k) for k numbers at once.
BONFERRONI = {1: 1.959964, 11: 2.8376}


def moved(evidence: Evidence, by: float, error: float = 0.01) -> Evidence:
    """Every headline AUROC moved, with a standard error of its own; nothing else."""
    populations = []
    for population in evidence.populations:
        found = population.overall.metrics["auroc"]
        assert found.value is not None
        auroc = found.model_copy(update={"value": found.value + by, "standard_error": error})
        metrics = population.overall.metrics | {"auroc": auroc}
        overall = population.overall.model_copy(update={"metrics": metrics})
        populations.append(population.model_copy(update={"overall": overall}))
    return evidence.model_copy(update={"populations": tuple(populations)})


def auroc_of(changes: tuple[Change, ...], on: str = "holdout") -> Change:
    return next(c for c in changes if (c.line, c.metric, c.on) == (None, "auroc", on))


def test_an_audit_beside_itself_has_changed_in_nothing() -> None:
    changes = compare_audits(model_evidence(), model_evidence())
    assert {change.difference.value for change in changes} == {0.0}
    assert not any(change.significant for change in changes)
    assert len(changes) == 5 + 2 * 3


def test_an_unpaired_difference_adds_the_variances_and_holds_for_all_numbers_at_once() -> None:
    before, now = moved(model_evidence(), 0.0, 0.03), moved(model_evidence(), 0.1, 0.04)
    change = auroc_of(compare_audits(before, now))
    assert change.difference.value == pytest.approx(0.1)
    assert change.difference.standard_error == pytest.approx(0.05)
    assert change.difference.high == pytest.approx(0.1 + BONFERRONI[11] * 0.05, abs=1e-4)
    assert change.significant is False
    assert not change.paired
    larger = auroc_of(compare_audits(before, moved(model_evidence(), -0.15, 0.04)))
    assert larger.significant is True


def test_the_release_that_stands_is_compared_paired_even_without_an_earlier_audit() -> None:
    paired = Estimate(value=0.02, low=0.01, high=0.03, standard_error=0.005)
    stands = IncumbentEvidence(stands=True, differences={"holdout": {"auroc": paired}})
    evidence = model_evidence().model_copy(update={"incumbent": stands})
    (change,) = compare_audits(None, evidence)
    now = evidence.populations[0].overall.metrics["auroc"].value
    assert now is not None
    assert (change.paired, change.significant) == (True, True)
    assert change.before.value == pytest.approx(now - 0.02)
    assert change.difference.low == pytest.approx(0.02 - BONFERRONI[1] * 0.005, abs=1e-6)
    said = " ".join(comparison(None, evidence).sentences)
    assert said.startswith("There is no earlier audit; the release that stands is compared")
    assert "difference 0.020 (0.010 to 0.030) (paired)." in said
    gone = IncumbentEvidence(stands=False, reason="nothing was released yet")
    none = model_evidence().model_copy(update={"incumbent": gone})
    assert comparison(None, none).sentences == (NO_AUDIT,)


def test_what_one_audit_cannot_tell_has_not_changed_and_is_not_the_same_either() -> None:
    before = moved(model_evidence(), 0.0)
    holdout = before.populations[0]
    metrics = holdout.overall.metrics | {"auroc": Estimate(reason="fewer than 50 positives")}
    overall = holdout.overall.model_copy(update={"metrics": metrics})
    silent = before.model_copy(
        update={
            "populations": (
                holdout.model_copy(update={"overall": overall}),
                *before.populations[1:],
            )
        }
    )
    change = auroc_of(compare_audits(silent, before))
    assert change.significant is None
    assert change.difference.reason == "one of the two audits cannot tell it"
    assert "Of 1 it cannot be told." in " ".join(comparison(silent, before).sentences)


def test_a_gap_is_compared_with_the_same_group_whoever_decided_then() -> None:
    now = model_evidence()
    assert now.gate is not None
    index = next(i for i, line in enumerate(now.gate.lines) if line.kind == "gap")
    line = now.gate.lines[index]
    other = "male" if line.level == "female" else "female"
    lines = list(now.gate.lines)
    lines[index] = line.model_copy(update={"level": other, "estimate": Estimate(value=9.0)})
    gate = now.gate.model_copy(update={"lines": tuple(lines)})
    changes = compare_audits(now.model_copy(update={"gate": gate}), now)
    found = next(change for change in changes if change.line == line.line)
    assert found.before.value == line.estimate.value


def test_changed_limits_and_verdicts_are_named_on_the_first_page() -> None:
    page = Page(render_report(closed_evidence(), previous=model_evidence()))
    first = page.text[: page.text.index("What decided it")]
    assert "The verdict of the last audit was pass." in first
    assert "“Discriminates on subjects it never saw” was pass and is fail." in first
    assert "New, gone or with another limit since then: “Discriminates on" in first
    rows = page.table_with("Difference")
    assert len(rows) == 11
    assert {row[5] for row in rows} == {"no more than chance"}


def test_among_all_numbers_of_two_equal_models_one_changes_by_chance_in_few_audits() -> None:
    """2,000 pairs of audits of one model: some number called changed in about 5 of 100 of them."""
    rng = np.random.default_rng(5)
    runs, family, error = 2000, 11, 0.02
    difference = rng.normal(0.0, error, (runs, family)) - rng.normal(0.0, error, (runs, family))
    reach = BONFERRONI[family] * math.hypot(error, error)
    share = float(np.mean((np.abs(difference) > reach).any(axis=1)))
    assert share == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))
