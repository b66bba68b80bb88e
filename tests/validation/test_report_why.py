"""The page of one subject: its reasons side by side, and none where they are not faithful."""

import re

import pytest

from tests.validation.subject_pages import FACTS, explained, subject_page
from validation.report.why import METHODS, Row, chart_of, render_subject_page, rows_of, when_words

MINUS = "\N{MINUS SIGN}"


def test_the_methods_stand_side_by_side_in_the_order_of_the_one_that_gives_reasons() -> None:
    rows = rows_of(subject_page())
    assert rows[0] == Row(
        "hdl",
        "12 days before",
        tuple(f"{MINUS}{size}" for size in ("0.750", "0.740", "0.730", "0.720", "0.710")),
    )
    assert [row.channel for row in rows] == ["hdl", "age_years", "bmi"]
    assert rows[1].when == "at any time"


def test_what_a_method_does_not_name_is_its_zero() -> None:
    told = explained()
    told["methods"]["lime"]["contributions"] = []
    rows = rows_of(subject_page(told=told))
    assert rows[0].contributions[list(METHODS).index("lime")] == "0.000"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (None, "at any time"),
        (0.0, "at the index time"),
        (0.5, "0.5 days before"),
        (1234.4, "1,234 days before"),
    ],
)
def test_when_is_said_in_words(days: float | None, words: str) -> None:
    assert when_words(days) == words


def test_the_page_says_score_release_reasons_checks_and_that_reasons_are_no_causes() -> None:
    html = render_subject_page(subject_page(attention=True))
    for words in ("Explained", "Not causes", "4711", "Kernel SHAP", "Over time", "Attention"):
        assert words in html
    for name, words in FACTS:
        assert name in html
        assert words in html
    assert html.count("<svg") == 1
    assert not re.search(r"<script|https?://", html)


def test_an_unfaithful_explanation_shows_no_reason_and_says_which_check_failed() -> None:
    html = render_subject_page(subject_page(faithful=False))
    assert "Not explained" in html
    assert "<svg" not in html
    assert "hdl" not in html
    assert "0.1234" in html
    assert '<span class="chip fail">' in html


@pytest.mark.parametrize(
    ("named", "caption"),
    [({"method": "integrated_gradients"}, "Integrated gradients"), ({}, "No method")],
)
def test_what_could_not_be_measured_says_why(named: dict[str, str], caption: str) -> None:
    words = "the score is averaged with models that are no networks"
    html = render_subject_page(subject_page(measured=named | {"impossible": words}))
    assert f"It could not be measured: {words}." in html
    assert f"<caption>{caption}</caption>" in html
    assert "Not explained" in html
    assert "cannot tell" in html
    assert "hdl" not in html


def test_only_the_method_that_was_judged_is_said_to_have_passed() -> None:
    html = render_subject_page(subject_page())
    assert "Only that method was judged" in html
    heads = re.findall(r'<th scope="col" class="n">([^<]*)</th>', html)[: len(METHODS)]
    assert heads[0] == "Integrated gradients"
    assert heads[1:] == [f"{name} (not judged)" for name, _ in list(METHODS.values())[1:]]


def test_a_subject_whose_contributions_do_not_add_up_is_not_explained_though_others_are() -> None:
    # 0.001 of the range of answers, 4, is what may be missing.
    html = render_subject_page(subject_page(told=explained() | {"answer": -1.4955}))
    assert "contributions do not add up to its answer" in html
    assert "hdl" not in html
    assert "hdl" in render_subject_page(subject_page(told=explained() | {"answer": -1.4965}))


def test_the_drawing_says_in_words_what_it_shows() -> None:
    drawn = str(chart_of(subject_page()))
    assert "Contributions at 4 time steps" in drawn
    assert "12 days before: lowered by 0.750" in drawn
    assert "at the index time: raised by 0.250" in drawn


def test_without_an_observation_there_is_nothing_to_draw() -> None:
    told = explained()
    for method in told["methods"].values():
        method["contributions"] = []
    page = subject_page(told=told | {"answer": told["reference"]})
    assert chart_of(page) is None
    assert "no observation to draw" in render_subject_page(page)


def test_names_are_escaped() -> None:
    told = explained()
    told["methods"]["integrated_gradients"]["contributions"][0]["channel"] = "<b>hdl</b>"
    html = render_subject_page(subject_page(told=told, subject="<i>1</i>"))
    assert "<b>hdl" not in html
    assert "<i>1" not in html
