"""compare_models: several model sections by the same folds and seeds, in one table."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from models.config import ModelConfig
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Artefact, Counts, Recipe
from pipelines.comparison.ledger import note_models
from pipelines.comparison.left_out import reason_of, require_one_trained, words_of
from pipelines.comparison.sections import AUTO, require_all_fitting, sections_of
from pipelines.comparison.table import (
    answers_table,
    cost_of,
    cost_of_challenger,
    kinds_of,
    seed_columns,
)
from pipelines.errors import TrainingFailed
from pipelines.out_of_sample import CrossValidated, cross_validate, number_of_folds
from pipelines.source_code import data_hashes
from pipelines.stage import recipe_of, run_stage
from pipelines.study import Study, load_study
from validation.choosing import NothingToChoose, choose
from validation.comparison import Comparison, compare_models
from validation.comparison_record import ComparedModel, ComparisonRecord, How
from validation.report.comparison_page import render_comparison
from validation.tasks import CHALLENGERS

STAGE = "compare_models"
RECORD, PAGE = "comparison.json", "comparison.html"

log = logging.getLogger(__name__)


def compare_study(
    study: str,
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    sequences: str | None = None,
    processes: int | None = None,
) -> Artefact:
    """Train what was not trained yet, measure all on the same rows, write the record and the page.

    Args:
        names: as ``pipelines.comparison.sections`` reads them; `auto` marks what would be chosen.
        seeds: networks per fold of each.
        sequences: key of the study's sequences; None to make them of its source.
        processes: networks trained at a time; None for as many as fit.

    Raises:
        StudyInvalid: no such study, or a name cannot be read or asks for what the task has not.
        TrainingFailed: no section can be trained. Where some can, the page says which cannot.
    """
    spec = load_study(study)
    # In one order, whatever the names were given in: the first is asked beside the simple models.
    given = sorted(name for name in names if name != AUTO)
    sections = sections_of(given, spec.model)
    require_all_fitting(sections, spec.require_fitting)
    sequences = sequences or sequences_of(study)
    plan = recipe_of(
        STAGE,
        config={
            "study": spec.name,
            "models": {name: one.model_dump(mode="json") for name, one in sections.items()},
            "seeds": list(seeds),
            "cross_validation": spec.cross_validation.model_dump(mode="json"),
        },
        inputs={"sequences": sequences},
        # The same section trained by other code is another trial.
        modules=("models.cross_validation", *ENCODER_MODULES),
    )
    note_models(spec, plan.key, sequences, sections)
    found, left_out = _answered(spec, sequences, sections, seeds, processes)
    recipe = recipe_for(spec, sequences, sections, found, left_out, marks_choice=AUTO in names)

    def write(draft: Path) -> Counts:
        return _write(spec, sections, found, recipe, draft)

    return run_stage(study, recipe, write)


def _answered(
    spec: Study,
    sequences: str,
    sections: Mapping[str, ModelConfig],
    seeds: Sequence[int],
    processes: int | None,
) -> tuple[dict[str, CrossValidated], dict[str, str]]:
    """What each model says, and of those that cannot be trained why."""
    found: dict[str, CrossValidated] = {}
    left_out: dict[str, str] = {}
    for number, (name, section) in enumerate(sections.items(), start=1):
        log.info("%s: %s, %d of %d", spec.name, name, number, len(sections))
        try:
            found[name] = cross_validate(
                spec,
                sequences,
                section,
                seeds=seeds,
                with_challengers=not found,
                processes=processes,
            )
        except TrainingFailed as failed:
            log.warning("%s: %s cannot be trained: %s", spec.name, name, failed.cause)
            left_out[name] = reason_of(failed)
    require_one_trained(found, left_out)
    return found, left_out


def sequences_of(study: str) -> str:
    """The key of the study's sequences, made now if they are not there."""
    from pipelines.stages.check_events import check_events
    from pipelines.whole_stages import whole_events, whole_sequences

    events = whole_events(study)
    check_events(study, events)
    return whole_sequences(study, events)


def recipe_for(
    spec: Study,
    sequences: str,
    sections: Mapping[str, ModelConfig],
    found: Mapping[str, CrossValidated],
    left_out: Mapping[str, str],
    marks_choice: bool,
) -> Recipe:
    """What decides the table: the answers, the audit's policy, and what the models are called."""
    return recipe_of(
        STAGE,
        config={
            "study": [spec.name, spec.title],
            "audit": spec.audit.model_dump(mode="json"),
            "models": {name: one.model_dump(mode="json") for name, one in sections.items()},
            "cross_validation": spec.cross_validation.model_dump(mode="json"),
            "auto": marks_choice,
            "left_out": dict(left_out),
            "mitigated": spec.mitigation is not None,
        },
        inputs={"sequences": sequences} | {name: one.key for name, one in found.items()},
        libraries=("polars", "numpy", "scipy", "jinja2"),
        modules=("pipelines.comparison.compare",),
        files=data_hashes("validation/report"),
    )


def measure(
    spec: Study,
    answered: Mapping[str, Sequence[CrossValidated]],
    beside: Sequence[CrossValidated],
) -> Comparison:
    """Compare sections that were answered by the same folds; beside: see ``answers_table``.

    Raises:
        UnauditableTable: the answers cannot be measured.
    """
    task, challengers = spec.audit.task, CHALLENGERS[spec.audit.task]
    table = answers_table(answered, beside, challengers, task)
    seeds = {name: seed_columns(name, parts[0], task) for name, parts in answered.items()}
    # In one thread: sums have one order on every machine.
    with threadpool_limits(limits=1):
        return compare_models(table, kinds_of(list(answered), challengers), seeds, spec.audit)


def record_of(
    spec: Study,
    sections: Mapping[str, ModelConfig],
    answered: Mapping[str, Sequence[CrossValidated]],
    beside: Sequence[CrossValidated],
    *,
    is_marked: bool,
    not_tried: Sequence[str] = (),
) -> ComparisonRecord:
    """All that the page shows and a program may read; beside: see ``answers_table``."""
    comparison = measure(spec, answered, beside)
    costs = {name: cost_of(parts) for name, parts in answered.items()}
    parameters = {name: cost.parameters or 0 for name, cost in costs.items()}
    for name in CHALLENGERS[spec.audit.task]:
        costs[name] = cost_of_challenger(name, beside)
    try:
        choice = choose(comparison, parameters)
    except NothingToChoose:
        choice = None
    words = {name: _words(section, spec.model) for name, section in sections.items()}
    return ComparisonRecord(
        study=spec.name,
        title=spec.title,
        comparison=comparison,
        models={
            name: ComparedModel(
                cost=cost,
                differs_by=words.get(name, {}),
                key=answered[name][0].key if name in answered else None,
            )
            for name, cost in costs.items()
        },
        choice=choice,
        is_choice_marked=is_marked,
        not_tried=tuple(not_tried),
        is_mitigation_left_out=spec.mitigation is not None,
        how=How(
            folds=number_of_folds(spec, beside[0].sequences_key),
            kind_of_folds=spec.cross_validation.kind,
            seeds=len(seed_columns("", beside[0], spec.audit.task)),
            most_epochs=spec.model.max_epochs,
            sequences_key=beside[0].sequences_key,
            made_with=dict(beside[0].cost["made_with"]),
        ),
    )


def _words(section: ModelConfig, base: ModelConfig) -> dict[str, Any]:
    """The fields in which a section differs from the study's."""
    own, theirs = section.model_dump(mode="json"), base.model_dump(mode="json")
    return {name: value for name, value in own.items() if value != theirs[name]}


def _write(
    spec: Study,
    sections: Mapping[str, ModelConfig],
    found: Mapping[str, CrossValidated],
    recipe: Recipe,
    draft: Path,
) -> Counts:
    answered = {name: [one] for name, one in found.items()}
    record = record_of(
        spec,
        sections,
        answered,
        next(iter(answered.values())),
        is_marked=bool(recipe.config["auto"]),
        not_tried=words_of(recipe.config["left_out"]),
    )
    write_record(record, draft)
    return {"models": len(record.comparison.models), "rows": record.comparison.rows}


def write_record(record: ComparisonRecord, draft: Path) -> None:
    """comparison.json and comparison.html."""
    (draft / RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")
    (draft / PAGE).write_text(render_comparison(record), encoding="utf-8")
