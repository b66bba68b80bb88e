"""The values that are shipped, none of them scaled: a machine dies in mid-training."""

from pathlib import Path

import pytest

from tests.cluster.faults import FAULTS
from tests.cluster.settings import shipped
from tests.cluster.topology import cluster
from tests.cluster.trials import calm_flow, keep, trial

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_with_the_shipped_timeouts_a_dead_machines_training_goes_on_within_its_bound(
    tmp_path: Path,
) -> None:
    with cluster(tmp_path, shipped()) as made:
        calm = calm_flow(made, "calm")
        outcome = trial(made, FAULTS[0], "killed", calm)
    keep(outcome)
    assert (outcome.violations, outcome.ended, outcome.tries) == ([], "success", {"train_model": 2})
    assert outcome.bound_seconds == 490
    assert outcome.seconds <= outcome.bound_seconds + outcome.allowance_seconds
