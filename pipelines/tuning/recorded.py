"""Is every trial where it must be: in the study's ledger, and in the journal of its plan?"""

from collections.abc import Collection, Sequence

from pipelines.errors import ArtefactCorrupt
from pipelines.trials import trials_of
from pipelines.tuning.outcome import Outcome


def require_recorded(study: str, outcomes: Sequence[Outcome]) -> None:
    """Also of trials that were run before, and whose artefacts are only looked up.

    Raises:
        ArtefactCorrupt: the ledger lacks one: then nobody knows how many there were.
    """
    recorded = {trial.trial_id for trial in trials_of(study).tuning}
    missing = [one.number for one in outcomes if one.trial_id not in recorded]
    if missing:
        raise ArtefactCorrupt(
            f"{len(missing):,} trials are not in the ledger of trials.",
            where=study,
            remedy="Restore the ledger from the backup: a choice among trials is told with how "
            "many there were.",
        )


def require_journal_knows(begun: Collection[int], study: str, plan: str) -> None:
    """A trial is begun in the journal before it is recorded in the ledger, so none is only here.

    Raises:
        ArtefactCorrupt: the journal lacks some: it would propose them a second time.
    """
    recorded = {trial.number for trial in trials_of(study).tuning if trial.plan_key == plan}
    missing = recorded.difference(begun)
    if missing:
        raise ArtefactCorrupt(
            f"{len(missing):,} trials of this tuning were recorded, and its journal lacks them.",
            where=plan,
            remedy="Restore the plan's folder in tunings from the backup, or search anew under "
            "another tuning.seed: the trials so far stay in the ledger.",
        )
