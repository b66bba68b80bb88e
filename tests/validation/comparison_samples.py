"""A comparison as its page shows it, of networks and a simple model on simulated subjects."""

from tests.validation.audit_examples import policy
from tests.validation.test_comparison import KINDS, SEEDS, table
from validation.choosing import choose
from validation.comparison import ModelCost, compare_models
from validation.comparison_record import ComparedModel, ComparisonRecord, How

PARAMETERS = {"lstm": 4_000, "gru": 3_000}


def record(*, gru_noise: float = 0.1, marked: bool = True) -> ComparisonRecord:
    """gru_noise: 0.1 makes the smaller network alike but for noise, 3 makes it worse."""
    comparison = compare_models(
        table(gru_noise=gru_noise),
        KINDS,  # type: ignore[arg-type]
        SEEDS,
        policy(),
    )
    models = {
        name: ComparedModel(
            cost=ModelCost(
                networks=6,
                epochs=90,
                seconds=12.25,
                processor_seconds=11.5,
                scoring_seconds_per_1000_rows=0.0031,
                peak_memory_bytes=600 * 1024**2,
                parameters=size,
            ),
            differs_by={"encoder": {"kind": name}} if name == "gru" else {},
            key=f"cross_validate/{name}",
        )
        for name, size in PARAMETERS.items()
    }
    simple = ModelCost(processor_seconds=0.5, scoring_seconds_per_1000_rows=0.0004)
    return ComparisonRecord(
        study="small",
        title="A study of <few> subjects",
        comparison=comparison,
        models=models | {"logistic_regression": ComparedModel(cost=simple)},
        choice=choose(comparison, PARAMETERS),
        is_choice_marked=marked,
        not_tried=("tcn (no time)",),
        how=How(
            folds=3,
            kind_of_folds="stratified_grouped",
            seeds=2,
            most_epochs=24,
            sequences_key="build_sequences/0123456789abcdef",
            made_with={"machine": "x86_64", "device": "cpu"},
        ),
    )
