"""run_trial: one trial of a tuning, by cross-validation; a killed attempt is taken up again."""

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from pydantic import ValidationError

from models.config import ModelConfig
from pipelines.artefacts import Counts, Recipe
from pipelines.errors import StudyInvalid, TrainingFailed
from pipelines.manifests import hash_json
from pipelines.out_of_sample import Epoch, cross_validate
from pipelines.settings import settings
from pipelines.stage import open_inputs, recipe_of, run_stage, store
from pipelines.stages import plan_trials
from pipelines.study import Study, load_study
from pipelines.training_process import one_attempt_at_a_time
from pipelines.trials import TuningTrial, record_trial
from pipelines.tuning.config import Range, TuningSection, tuned
from pipelines.tuning.losses import LossesSoFar
from pipelines.tuning.objective import cost, measure
from pipelines.tuning.outcome import Outcome, measured_fields
from pipelines.tuning.recorded import require_journal_knows, require_recorded
from pipelines.tuning.section import tuning_of
from pipelines.tuning.space import RUNGS
from pipelines.tuning.trials import Begun, TuningTrials
from validation.comparison import primary_metric

# A training that ends badly once may have met a full memory; twice, it is the trial's own doing.
ATTEMPTS = 2
PRUNED = "others were ahead at the same epoch"

log = logging.getLogger(__name__)


def run_trial(study: str, plan: str, number: int) -> str:
    """Run trial `number` of a plan; it is in the study's ledger before its first epoch.

    A trial that is stopped early or cannot be trained is an outcome too and fails nothing.

    Raises:
        StudyInvalid: the study is not the planned one any more.
        ArtefactCorrupt: the ledger or the journal of trials cannot be believed, or lacks one.
        TrainingInterrupted: somebody ended the training; run again, the trial goes on.
    """
    spec = load_study(study)
    made = run_stage(study, recipe_for(plan, number), lambda draft: _run(spec, plan, number, draft))
    require_recorded(study, [Outcome.read(made.path)])
    return made.key


def recipe_for(plan: str, number: int) -> Recipe:
    """The plan's recipe names the rest; what the trials before it came to is in the journal."""
    return recipe_of(
        "run_trial", config={"number": number}, inputs={"plan": plan}, libraries=("optuna",)
    )


def _run(spec: Study, plan: str, number: int, draft: Path) -> Counts:
    open_inputs({"plan": plan})
    sequences = _planned_sequences(spec, plan)
    # Machines share the home, and each has artefacts of its own, with its trainings' checkpoints.
    folder = journal_folder(plan)
    turn, place = (of / f"trial_{number:05d}" for of in (folder, store().workspace(plan)))
    for each in (turn, place):
        each.mkdir(parents=True, exist_ok=True)
    with one_attempt_at_a_time(turn):
        trial = _Trial(spec, plan, number, sequences, folder, place)
        outcome = trial.outcome()
    outcome.write(draft)
    shutil.rmtree(place, ignore_errors=True)
    return {"number": number, outcome.state: 1, "epochs": outcome.epochs or 0}


def journal_folder(plan: str) -> Path:
    """Where the trials of a plan know of one another: in the home, with the other records."""
    return settings().tunings_dir / Path(plan).name


class _Trial:
    """One trial under way: nobody else works at it."""

    def __init__(
        self, spec: Study, plan: str, number: int, sequences: str, folder: Path, place: Path
    ) -> None:
        self.spec, self.number, self.sequences, self.place = spec, number, sequences, place
        section = tuning_of(spec)
        self.seeds = spec.model.seeds[: section.networks_per_fold]
        self.constraints = section.constraints
        most_epochs = _most_epochs(section, spec.model)
        folds = store().manifest(plan)["counts"]["folds"]
        # Rungs are epochs of the first network, and nothing else.
        self.rungs = section.pruner in RUNGS
        most_steps = most_epochs if self.rungs else folds * len(self.seeds) * most_epochs
        self.trials = TuningTrials(folder, plan, section, most_steps)
        require_journal_knows(self.trials.numbers(), spec.name, plan)
        self.begun = self.trials.begin(number)
        self.losses = LossesSoFar(most_epochs, self.seeds, self.trials.reports(number))
        self.config, self.reason = _config(spec, self.begun)
        self.words = self._words(plan)

    def outcome(self) -> Outcome:
        """Run it, or say what came of it when it ran."""
        self._record()
        if self.begun.state in ("pruned", "failed"):
            return self._outcome(state=self.begun.state, reason=self.begun.reason)
        if self.config is None:
            return self._failed(str(self.reason))
        try:
            return self._measured(self.config)
        except optuna.TrialPruned:
            self.trials.prune(self.number, PRUNED)
            return self._outcome(state="pruned", reason=PRUNED)

    def _measured(self, config: ModelConfig) -> Outcome:
        try:
            answered = self._cross_validated(config)
        except TrainingFailed as error:
            return self._failed(error.cause)
        found = measure(answered.with_examples(), self.spec.audit, self.constraints)
        if found is None:
            return self._failed("a fold cannot give the metric")
        if self.begun.state == "running":
            self.trials.complete(self.number, cost(found), found.excess)
        return self._outcome(**measured_fields(found))

    def _cross_validated(self, config: ModelConfig) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return cross_validate(
                    self.spec,
                    self.sequences,
                    config,
                    seeds=self.seeds,
                    on_epoch=self._on_epoch,
                    workspace=self.place / "networks",
                    # One after another, so that a step is the same epoch in every trial.
                    processes=1,
                )
            except TrainingFailed:
                if attempt == ATTEMPTS:
                    raise
                log.warning("trial %d: the training ended; it is taken up once more", self.number)
        raise AssertionError("an attempt returns or raises")

    def _on_epoch(self, epoch: Epoch) -> None:
        step, loss = self.losses.add(epoch)
        if self.rungs and not self.losses.is_of_the_first(epoch):
            return
        if self.begun.state == "running" and self.trials.report(self.number, step, loss):
            raise optuna.TrialPruned

    def _failed(self, reason: str) -> Outcome:
        if self.begun.state == "running":
            self.trials.fail(self.number, reason)
        return self._outcome(state="failed", reason=reason)

    def _record(self) -> None:
        number = record_trial(self.spec.name, TuningTrial(**self.words, recorded_at=_now()))
        log.info("trial %d is entry %d of the ledger of trials", self.number, number)

    def _words(self, plan: str) -> dict[str, Any]:
        config = (
            {"parameters": self.begun.parameters}
            if self.config is None
            else self.config.model_dump(mode="json")
        )
        return {
            "trial_id": f"{plan} trial {self.number} {hash_json(config)[:8]}",
            "plan_key": plan,
            "number": self.number,
            "sequences_key": self.sequences,
            "config": config,
            "metric": primary_metric(self.spec.audit),
        }

    def _outcome(self, **what: Any) -> Outcome:
        own = {name: self.words[name] for name in ("trial_id", "number", "config", "metric")}
        return Outcome(**own, parameters=self.begun.parameters, epochs=self.losses.epochs, **what)


def _planned_sequences(spec: Study, plan: str) -> str:
    """The sequences of the plan, if it is still the study's."""
    sequences: str = store().manifest(plan)["recipe"]["inputs"]["sequences"]
    if plan_trials.recipe_for(spec, sequences).key != plan:
        raise StudyInvalid(
            f"The study {spec.name} was changed since its tuning was planned.",
            where=plan,
            remedy=f"Plan again: equipoise tune {spec.name}",
        )
    return sequences


def _config(spec: Study, begun: Begun) -> tuple[ModelConfig | None, str | None]:
    """The model section to try, or why there is none."""
    try:
        return tuned(spec.model, begun.parameters), None
    except ValidationError as error:
        said = error.errors(include_input=False, include_url=False)[0]
        return None, f"no such model: {said['msg']}"


def _most_epochs(section: TuningSection, base: ModelConfig) -> int:
    searched = section.parameters.get("max_epochs")
    if searched is None:
        return base.max_epochs
    found = [searched.high] if isinstance(searched, Range) else searched.points()
    return max(int(str(one)) for one in found)


def _now() -> datetime:
    return datetime.now(UTC)
