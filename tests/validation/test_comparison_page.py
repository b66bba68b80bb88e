"""What the page of a comparison says, and which network is taken."""

import pytest

from tests.validation.comparison_samples import PARAMETERS, record
from validation.choosing import NothingToChoose, choose
from validation.comparison import Comparison, ModelResult
from validation.comparison_record import ComparisonRecord
from validation.estimates import Estimate
from validation.report.comparison_page import render_comparison, sentences


def test_the_smaller_of_two_that_are_alike_but_for_noise_is_taken_and_it_is_said() -> None:
    made = record(gru_noise=0.1)
    assert made.choice is not None
    assert made.choice.best_network == "lstm"
    assert set(made.choice.alike) == {"lstm", "gru"}
    assert made.choice.taken == "gru"
    assert made.choice.is_noise
    words = " ".join(sentences(made))
    assert "By no more than noise behind lstm: gru." in words
    assert (
        "auto takes gru: of the networks that are alike but for noise it is the smallest" in words
    )
    assert "Left out of this table: tcn (no time)." in words


def test_a_network_that_is_worse_by_more_than_noise_is_not_taken_for_its_size() -> None:
    made = record(gru_noise=3.0)
    assert made.choice is not None
    assert made.choice.taken == "lstm"
    assert "Every other network is worse than lstm by more than noise." in sentences(made)


def test_who_wins_is_said_with_the_paired_difference_and_its_interval() -> None:
    made = record()
    assert made.choice is not None
    told = made.choice.network_minus_challenger
    assert told is not None
    assert made.choice.network_is == "better"
    said = sentences(made)[0]
    assert said.startswith("The best network, lstm, minus the best simple model, logistic")
    assert f"{told.value:.3f} ({told.low:.3f} to {told.high:.3f}), more than noise" in said


def test_a_simple_model_that_wins_is_said_to_win_and_a_network_is_still_taken() -> None:
    metric = Estimate(value=0.7, low=0.6, high=0.8)
    behind = Estimate(value=-0.1, low=-0.15, high=-0.05)
    comparison = Comparison(
        task="risk",
        primary="auroc",
        rows=100,
        clusters=50,
        models=(
            ModelResult(name="ridge", kind="challenger", metrics={"auroc": metric}, by_fold=()),
            ModelResult(
                name="lstm",
                kind="network",
                metrics={"auroc": metric},
                by_fold=(),
                to_best_challenger={"auroc": behind},
            ),
        ),
        best_challenger="ridge",
        best_network="lstm",
    )
    found = choose(comparison, {"lstm": 5})
    assert (found.taken, found.network_is) == ("lstm", "worse")


def test_a_difference_that_cannot_be_told_makes_no_network_alike() -> None:
    metric, unknown = Estimate(value=0.7), Estimate(reason="too few")
    networks = tuple(
        ModelResult(
            name=name,
            kind="network",
            metrics={"auroc": metric},
            by_fold=(),
            to_best_network={} if name == "lstm" else {"auroc": unknown},
        )
        for name in ("lstm", "gru")
    )
    comparison = Comparison(
        task="risk",
        primary="auroc",
        rows=100,
        clusters=50,
        models=networks,
        best_challenger=None,
        best_network="lstm",
    )
    found = choose(comparison, PARAMETERS)
    assert (found.taken, found.alike, found.network_is) == ("lstm", ("lstm",), "cannot tell")


def test_without_a_measured_network_there_is_nothing_to_choose() -> None:
    comparison = record().comparison.model_copy(update={"best_network": None})
    with pytest.raises(NothingToChoose):
        choose(comparison, PARAMETERS)


def test_the_page_holds_every_model_its_numbers_and_its_cost_and_escapes_words() -> None:
    made = record()
    page = render_comparison(made)
    for model in made.comparison.models:
        value = model.metrics["auroc"].value
        assert f"{value:.3f}" in page
    assert "logistic regression" in page
    assert "A study of &lt;few&gt; subjects" in page
    assert "<few>" not in page
    for words in ("4,000", "11.5", "600", "3.1", "stratified grouped", "cross_validate/gru"):
        assert words in page
    assert "auto takes it" in page
    assert "auto takes it" not in render_comparison(record(marked=False))


def test_the_same_record_has_the_same_page_and_the_record_survives_its_json() -> None:
    made = record()
    read = ComparisonRecord.model_validate_json(made.model_dump_json())
    assert read == made
    assert render_comparison(read) == render_comparison(made)
