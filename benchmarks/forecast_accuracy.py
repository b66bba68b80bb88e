"""How good a market study's forecasts are, beside every simple model, on the walk-forward.

``python -m benchmarks.forecast_accuracy sp500_volatility`` runs the stages up to the audit (what is
there already is reused) and prints the evidence: nothing is computed here.
"""

import argparse
import sys

from pipelines.console import print_table
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.check_events import check_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.train_model import train_model
from pipelines.whole_stages import whole_events, whole_sequences
from validation.estimates import Estimate
from validation.evidence import Evidence, load_evidence

# The most that the network's losses may be, where a study promises something.
LIMITS = {"sp500_volatility": {"mae": 0.0850, "qlike": 0.530}}


def audited(study: str) -> Evidence:
    """The evidence of the study's audit as its files, its source and this code are now."""
    events = whole_events(study)
    checks = check_events(study, events)
    sequences = whole_sequences(study, events)
    model = train_model(study, sequences)
    predictions = predict_holdout(study, sequences, model)
    audit = audit_model(study, events, checks, sequences, model, predictions)
    return load_evidence(store().open(audit) / "evidence.json")


def main() -> int:
    """Print the evidence; fail if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    study = parser.parse_args().study
    evidence = audited(study)
    population = evidence.population("walk_forward")
    if population is None or evidence.gate is None:
        raise SystemExit("this study's audit holds no walk-forward")
    print(f"{evidence.study}, walk-forward: {population.overall.counts.rows:,} forecasts")
    metrics = population.overall.metrics
    rows = [("network", *(_words(estimate) for estimate in metrics.values()))]
    for simple in population.challengers:
        rows.append((simple.name, *(_words(simple.metrics.get(name)) for name in metrics)))
    print_table(("model", *metrics), rows)
    losses = list(population.challengers[0].difference)
    print("\nnetwork minus the simple model (95 % interval; below 0 the network is better)")
    print_table(
        ("simple model", *losses),
        [
            (simple.name, *(_words(simple.difference.get(name)) for name in losses))
            for simple in population.challengers
        ],
    )
    print(f"\ngate: {evidence.gate.verdict}")
    for line in evidence.gate.lines:
        print(f"  {line.verdict}: {line.line}: {line.words}")
    missed = [
        name
        for name, most in LIMITS.get(study, {}).items()
        if (value := {str(key): one for key, one in metrics.items()}[name].value) is None
        or value > most
    ]
    if study in LIMITS:
        print(f"limits {LIMITS[study]}: {'missed ' + ', '.join(missed) if missed else 'met'}")
    return 1 if missed else 0


def _words(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.5f}"
    return f"{estimate.value:.5f} ({estimate.low:.5f} to {estimate.high:.5f})"


if __name__ == "__main__":
    sys.exit(main())
