"""One self-contained HTML page from the evidence of an audit.

The page asks the network for nothing and runs no script (its own policy forbids both), escapes
every word of study and evidence, and has the same bytes for the same evidence.
"""

from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from validation.evidence import Evidence, LineageEntry, PopulationEvidence, PredictionEvidence
from validation.report import formatting, harm_words, names, overfitting_words, verdicts
from validation.report.closing import why_closed, why_withheld
from validation.report.harm_words import STATES, harms_looked_for
from validation.report.headlines import headlines
from validation.report.layouts import LAYOUTS
from validation.report.limits import cannot_tell
from validation.report.units import Units, units
from validation.report.views import (
    check_summaries,
    coverage,
    curves,
    flow_table,
    forests,
    group_tables,
    largest_population,
    skill_by_year,
)
from validation.tasks import PRIMARY_LOSS, PRIMARY_SKILL

EVIDENCE_FILE: Final = "evidence.json"
FILTERS: Final = (
    formatting.bounds,
    formatting.count,
    formatting.detail,
    formatting.interval,
    formatting.limit,
    formatting.number,
    formatting.percent,
    formatting.quantity,
    formatting.reasons,
    formatting.tally,
    harm_words.finding_group,
    harm_words.state_of,
    names.measurement,
    names.metric_name,
    names.metric_short,
    names.metric_words,
    names.model_name,
    names.population_name,
    names.population_words,
    names.spoken,
    names.verdict_symbol,
    names.verdict_word,
    overfitting_words.likelihood,
    verdicts.group_about,
    verdicts.line_about,
)


def render_report(evidence: Evidence, *, evidence_file: str = EVIDENCE_FILE) -> str:
    """The report of ``audit_model``.

    Args:
        evidence: judged or not; a gate of None is shown as a closed one.
        evidence_file: the name of the file from which each number can be recomputed.
    """
    chosen = largest_population(evidence)
    policy, written = evidence.policy, units(evidence)
    layout = LAYOUTS[policy.task]
    return _render(
        "audit.html.j2",
        verdict=verdicts.model_verdict(evidence.study, evidence.gate),
        evidence=evidence,
        evidence_file=evidence_file,
        is_forecast=policy.is_forecast,
        data=evidence.data,
        gate=evidence.gate,
        why_closed=why_closed(evidence),
        unknowns=cannot_tell(evidence),
        layout=layout,
        sections=layout.sections,
        units=written,
        flow=flow_table(evidence.data.flow),
        checks=check_summaries(evidence.data.checks),
        forests=forests(chosen, policy, written) if chosen else [],
        forest_population=chosen.population if chosen else "",
        groups=[(p.population, group_tables(p)) for p in evidence.populations],
        **(_of_forecasts(evidence, chosen, written) if policy.is_forecast else _of_risk(evidence)),
    )


def _of_risk(evidence: Evidence) -> dict[str, Any]:
    return {
        "headlines": (),
        "curves": [(p.population, curves(p)) for p in evidence.populations],
    }


def _of_forecasts(
    evidence: Evidence, chosen: PopulationEvidence | None, written: Units
) -> dict[str, Any]:
    return {
        "headlines": headlines(evidence),
        "chosen": chosen,
        "skill": PRIMARY_SKILL[evidence.policy.task],
        "loss": PRIMARY_LOSS[evidence.policy.task],
        "series": skill_by_year(chosen, written, PRIMARY_SKILL[evidence.policy.task])
        if chosen
        else None,
        "coverage": coverage(chosen) if chosen else None,
        "harms": harms_looked_for(evidence),
        "harm_states": STATES,
        "overfitting": evidence.overfitting,
    }


def render_prediction_report(
    evidence: PredictionEvidence, *, evidence_file: str = EVIDENCE_FILE
) -> str:
    """The report of ``audit_predictions``; as :func:`render_report`."""
    return _render(
        "predictions.html.j2",
        verdict=verdicts.prediction_verdict(evidence.study, evidence.rows, evidence.gate),
        evidence=evidence,
        evidence_file=evidence_file,
        gate=evidence.gate,
        why_withheld=why_withheld(evidence),
        task=evidence.policy.task,
    )


def render_crash_report(
    study: str, stage: str, error: BaseException, lineage: tuple[LineageEntry, ...] = ()
) -> str:
    """The report of an audit that ended without evidence: the gate is closed.

    Only the error's class is named: its message may quote a record.
    """
    return _render(
        "crash.html.j2",
        verdict=verdicts.crash_verdict(study),
        study=study,
        stage=stage,
        error=type(error).__name__,
        lineage=lineage,
    )


def _render(template: str, **context: Any) -> str:
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("validation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    return environment
