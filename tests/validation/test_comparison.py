"""Models side by side: recomputed row by row, and judged on differences that were made."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.validation import forecast_examples
from tests.validation.audit_examples import policy, simulated
from validation.comparison import Comparison, compare_models, value_of, verdict_of
from validation.estimates import Estimate
from validation.tasks import MetricName, Task

KINDS = {"lstm": "network", "gru": "network", "logistic_regression": "challenger"}
SEEDS = {"lstm": ("lstm_seed_0", "lstm_seed_1"), "gru": ("gru_seed_0",)}


def table(*, subjects: int = 2500, gru_noise: float = 0.0, held_out: int = 500) -> pl.DataFrame:
    """A study's examples: the last `held_out` were answered by nobody."""
    frame = simulated(subjects=subjects)
    rng = np.random.default_rng(3)
    score = frame["score"].to_numpy()
    noisy = 1 / (
        1 + np.exp(-(np.log(score / (1 - score)) + rng.normal(0, 1, subjects) * gru_noise))
    )
    answered = np.arange(subjects) < subjects - held_out
    columns = {
        "lstm": score,
        "gru": noisy,
        "lstm_seed_0": score**1.1,
        "lstm_seed_1": 0.5 * noisy + 0.5 * score,
        "gru_seed_0": noisy,
        "logistic_regression": frame["logistic_regression"].to_numpy(),
    }
    return frame.drop("score", "logistic_regression", "prevalence", strict=False).with_columns(
        fold=pl.when(pl.Series(answered)).then(pl.Series(np.arange(subjects) % 3)),
        split=pl.when(pl.Series(answered)).then(pl.lit("train")).otherwise(pl.lit("test")),
        **{
            name: pl.when(pl.Series(answered)).then(pl.Series(values))
            for name, values in columns.items()
        },
    )


def compared(frame: pl.DataFrame) -> Comparison:
    return compare_models(frame, KINDS, SEEDS, policy())  # type: ignore[arg-type]


def known(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("fold").is_not_null(), pl.col("label").is_not_null())


def test_the_table_is_what_a_plain_computation_of_each_row_gives() -> None:
    frame = table(gru_noise=1.0)
    found = compared(frame)
    rows = known(frame)
    label, weight = rows["label"].to_numpy(), rows["weight"].to_numpy()
    assert found.rows == rows.height
    assert found.clusters == rows["cluster"].n_unique()
    for name in KINDS:
        score = rows[name].to_numpy()
        expected: dict[MetricName, float] = {
            "auroc": roc_auc_score(label, score, sample_weight=weight),
            "auprc": average_precision_score(label, score, sample_weight=weight),
            "brier": np.average((label - score) ** 2, weights=weight),
            "observed_expected": (weight @ label) / (weight @ score),
        }
        for metric, plain in expected.items():
            assert found.model(name).metrics[metric].value == pytest.approx(plain, abs=1e-9)
        for fold, value in enumerate(found.model(name).by_fold):
            part = rows.filter(fold=fold)
            own = roc_auc_score(part["label"], part[name], sample_weight=part["weight"])
            assert value == pytest.approx(own, abs=1e-9)
    seeds = [
        roc_auc_score(label, rows[seed], sample_weight=weight)
        for seed in ("lstm_seed_0", "lstm_seed_1")
    ]
    assert found.model("lstm").by_seed == pytest.approx(seeds, abs=1e-9)
    assert found.model("logistic_regression").by_seed == ()


def test_models_stand_from_the_best_to_the_worst_and_the_best_of_each_kind_is_named() -> None:
    found = compared(table(gru_noise=1.0))
    values = [model.metrics["auroc"].value for model in found.models]
    assert values == sorted(values, reverse=True)  # type: ignore[type-var]
    assert (found.best_network, found.best_challenger) == ("lstm", "logistic_regression")
    assert found.model("lstm").to_best_network == {}
    assert found.model("logistic_regression").to_best_challenger == {}


def test_a_difference_is_paired_and_a_copy_differs_by_exactly_nothing() -> None:
    found = compared(table(gru_noise=0.0))
    same = found.model("gru").to_best_network or found.model("lstm").to_best_network
    assert same["auroc"].value == 0.0
    assert (same["auroc"].low, same["auroc"].high) == (0.0, 0.0)
    assert verdict_of(same["auroc"], "auroc") == "not more than noise"


def test_a_paired_interval_is_narrower_than_that_of_two_models_apart() -> None:
    found = compared(table(gru_noise=0.3))
    gru = found.model("gru")
    own, apart = gru.metrics["auroc"], gru.to_best_network["auroc"]
    assert apart.high - apart.low < 0.7 * (own.high - own.low)  # type: ignore[operator]


def test_a_model_that_is_truly_worse_is_told_so() -> None:
    worse = compared(table(gru_noise=3.0)).model("gru").to_best_network["auroc"]
    assert worse.value is not None
    assert worse.value < 0
    assert verdict_of(worse, "auroc") == "worse"


@pytest.mark.parametrize(
    ("low", "high", "metric", "word"),
    [
        (0.01, 0.03, "auroc", "better"),
        (-0.03, -0.01, "auroc", "worse"),
        (-0.01, 0.02, "auroc", "not more than noise"),
        (0.0, 0.02, "auroc", "not more than noise"),
        (0.01, 0.03, "mae", "worse"),
        (-0.03, -0.01, "mae", "better"),
        (0.01, 0.03, "calibration_slope", "cannot tell"),
        (None, None, "auroc", "cannot tell"),
    ],
)
def test_the_word_follows_from_the_interval(
    low: float | None, high: float | None, metric: str, word: str
) -> None:
    value = None if low is None else 0.5 * (low + high)  # type: ignore[operator]
    estimate = Estimate(value=value, low=low, high=high)
    assert verdict_of(estimate, metric) == word  # type: ignore[arg-type]


def test_rows_that_nobody_answered_change_nothing() -> None:
    frame = table()
    unanswered = pl.col("fold").is_null()
    # Without follow-up in the table, what was held out has no say in any weight either.
    other = frame.with_columns(
        label=pl.when(unanswered & pl.col("label").is_not_null())
        .then(1.0 - pl.col("label"))
        .otherwise("label")
    )
    assert not other.equals(frame)
    assert compared(other) == compared(frame)


def test_a_fold_without_an_event_has_no_value() -> None:
    frame = table().with_columns(
        label=pl.when(pl.col("fold") == 1, pl.col("label").is_not_null())
        .then(0.0)
        .otherwise("label")
    )
    values = compared(frame).model("lstm").by_fold
    assert values[1] is None
    assert None not in (values[0], values[2])


@pytest.mark.parametrize("task", ["volatility", "quantiles", "direction"])
def test_forecasts_are_compared_by_their_own_loss(task: Task) -> None:
    frame, config = forecast_examples.simulated(task), forecast_examples.policy(task)
    reference = str(config.reference)
    suffix = "_walk_forward"
    networks = {
        name.replace("score", "lstm", 1).removesuffix(suffix): pl.col(name)
        for name in frame.columns
        if name.startswith("score") and name.endswith(suffix)
    }
    challenger = {
        name.removesuffix(suffix): pl.col(name)
        for name in frame.columns
        if name.startswith(reference) and name.endswith(suffix)
    }
    plain = frame.with_columns(**networks, **challenger)
    plain = plain.with_columns(fold=pl.when(next(iter(networks.values())).is_not_null()).then(0))
    found = compare_models(plain, {"lstm": "network", reference: "challenger"}, {}, config)
    loss = found.model("lstm").metrics[found.primary].value
    plain = plain.filter(pl.col("fold").is_not_null())
    assert value_of(found.primary, plain, "lstm", config) == pytest.approx(loss, rel=1e-9)
    if task == "volatility":
        rows = plain.filter(pl.col("label").is_not_null())
        misses = rows["label"].cast(pl.Float64).to_numpy() - rows["lstm"].to_numpy()
        assert loss == pytest.approx(np.abs(misses).mean(), rel=1e-9)
