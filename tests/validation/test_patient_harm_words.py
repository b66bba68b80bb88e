import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from tests.validation.html_pages import Page
from validation.audit import audit_predictions_table
from validation.evidence import Evidence
from validation.patient_harms.harms import patient_harms
from validation.report.patient_harm_words import patient_harm_view
from validation.report.render import FILTERS

HOSTILE = "<script>alert(1)</script>"


def evidence(hostile: int = 1) -> Evidence:
    """Women are called far too often; some subjects' sex is a script; another label is named so."""
    frame = simulated(subjects=4000)
    score = pl.when((pl.col("sex") == "female") & (pl.col("label") == 0)).then(
        (pl.col("score") * 1.6).clip(0, 0.99)
    )
    frame = frame.with_columns(
        score.otherwise("score").alias("score_cross_fitted"),
        sex=pl.when(pl.col("subject_id") < hostile).then(pl.lit(HOSTILE)).otherwise("sex"),
    )
    other = frame.select("subject_id", "label", "weight", title=pl.lit(HOSTILE))
    config = policy(crossings=[])
    populations = audit_predictions_table(frame, config, challengers=CHALLENGERS)
    found = patient_harms(frame, populations, config, alternatives=other)
    return Evidence(
        study="s", intended_use="u", policy=config, populations=populations, patient_harms=found
    )


def rendered(told: Evidence) -> str:
    environment = Environment(
        loader=PackageLoader("validation.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    template = environment.get_template("patient_harms.html.j2")
    return template.render(patient_harms=patient_harm_view(told), evidence_file="evidence.json")


def test_the_page_says_who_is_called_in_vain_with_numbers_and_escapes_every_word() -> None:
    told = evidence(hostile=1300)
    html = rendered(told)
    page = Page(f"<body>{html}</body>")
    harms = told.patient_harms
    assert harms is not None
    [women] = [
        e for e in harms.findings if (e.quantity, e.level) == ("false_alerts_per_100", "female")
    ]
    assert women.alarm
    assert women.words[1:] in page.text
    assert "<script>" not in html
    assert f"sex: {HOSTILE}" in page.text
    rows = page.table_with("Weighted")
    assert [row[0] for row in rows] == ["TPR", "TPR", "TPR"]
    outcomes = page.table_with("Outcome")
    assert [row[0] for row in outcomes] == ["the declared outcome", HOSTILE]
    assert outcomes[0][1:] == outcomes[1][1:]
    assert "how often subjects were tested is not in the predictions" in page.text


def test_a_subject_of_a_kind_of_its_own_is_named_in_no_number() -> None:
    page = Page(f"<body>{rendered(evidence())}</body>")
    rows = [row for table in page.tables for row in table if HOSTILE in row[0] and len(row) == 6]
    assert rows
    for row in rows:
        assert row[2].startswith("cannot tell")
        assert row[3:5] == ["\N{EN DASH}"] * 2


def test_what_was_not_looked_for_is_not_said_to_be_fine() -> None:
    bare = evidence().model_copy(update={"patient_harms": None})
    assert "were not looked for" in rendered(bare)
