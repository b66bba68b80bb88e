import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from tests.validation.html_pages import Page
from tests.validation.test_mitigation import (
    made,
    table_of,
    unfair,
    with_rates_withheld,
    with_thresholds,
)
from validation.disclosure.view import for_readers
from validation.evidence import Evidence, GateVerdict
from validation.report.mitigation_words import mitigation_view
from validation.report.render import FILTERS

HOSTILE = "<script>alert(1)</script>"


def rendered(told: Evidence) -> Page:
    environment = Environment(
        loader=PackageLoader("validation.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    template = environment.get_template("mitigation.html.j2")
    html = template.render(mitigation=mitigation_view(told), evidence_file="evidence.json")
    assert "<script>" not in html
    return Page(f"<body>{html}</body>")


def test_before_stands_beside_after_for_fairness_and_utility() -> None:
    frame = unfair(4000)
    told = made(frame, table_of(frame))
    page = rendered(told)
    assert "each group has a threshold of its own" in page.text
    assert "tosses a coin" in page.text
    assert told.mitigation is not None
    measured = told.mitigation.populations[0].measured
    [gap] = [e for e in measured if (e.metric, e.level, e.is_gap) == ("tpr", "male", True)]
    row = next(r for r in page.tables[1] if r[0] == "TPR, sex male")
    assert f"{abs(gap.before.value or 0):.3f}" in row[1]
    assert row[2] != row[1]
    assert any(r[0] == "Net benefit" for r in page.tables[1])


def test_a_group_that_nobody_could_fit_has_the_studys_threshold_and_is_escaped() -> None:
    frame = unfair(4000).with_columns(
        sex=pl.when(pl.col("subject_id") < 40).then(pl.lit(HOSTILE)).otherwise("sex")
    )
    levels = {
        row[0]: row[1] for row in rendered(made(frame, table_of(frame))).table_with("Threshold")
    }
    assert levels[HOSTILE] == levels["any other"] == "0.200"


def test_a_refused_mitigation_says_why_on_its_own_page() -> None:
    frame = unfair()
    nobody = with_thresholds(table_of(frame), female=0.55, male=0.55)
    page = rendered(made(frame, nobody))
    assert "Why it closes the gate" in page.text
    assert "equality by selecting nobody" in page.text


def test_what_readers_do_not_see_is_not_called_a_refusal() -> None:
    frame = unfair(2000)
    told = made(frame, table_of(frame), gate=GateVerdict(verdict="pass"))
    read = for_readers(with_rates_withheld(told))
    assert mitigation_view(read) is not None
    assert "Why it closes the gate" not in rendered(read).text


def test_without_a_mitigation_the_page_says_so() -> None:
    frame = unfair(1000)
    told = made(frame, table_of(frame), mitigation=None)
    assert "names no mitigation" in rendered(told).text
