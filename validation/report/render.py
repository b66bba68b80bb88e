"""One self-contained HTML page from the evidence of an audit.

The page asks the network for nothing and runs no script (its own policy forbids both), escapes
every word of study and evidence, and has the same bytes for the same evidence.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from validation.evidence import Evidence, LineageEntry, PopulationEvidence, PredictionEvidence
from validation.profiles.coverage import coverage_of
from validation.profiles.reading import Profile, load_profiles
from validation.report import (
    change_words,
    deciding,
    formatting,
    harm_words,
    names,
    overfitting_words,
    training_words,
    verdicts,
)
from validation.report.change_words import comparison
from validation.report.closing import why_closed, why_withheld
from validation.report.evidence_index import as_json, evidence_index
from validation.report.flow_chart import flow_chart
from validation.report.harm_words import STATES, harms_looked_for
from validation.report.headlines import headlines
from validation.report.json_view import report_model, report_text
from validation.report.layouts import LAYOUTS, Section, sections_of
from validation.report.limits import cannot_tell
from validation.report.mitigation_words import mitigation_view
from validation.report.page_one import COMMAND
from validation.report.patient_harm_words import patient_harm_view
from validation.report.plans import inventory_text, monitoring_plan, outcome_rows
from validation.report.units import Units, units
from validation.report.views import (
    check_summaries,
    coverage,
    curves,
    drawn_gaps,
    flow_table,
    forests,
    group_tables,
    largest_population,
    skill_by_year,
)
from validation.tasks import PRIMARY_LOSS, PRIMARY_SKILL

EVIDENCE_FILE: Final = "evidence.json"
SIDEWAYS: Final = re.compile(r'<div class="wide(?: long)?"')
FILTERS: Final = (
    change_words.change_about,
    change_words.changed_words,
    change_words.unit_of,
    deciding.at_once,
    deciding.needed_words,
    formatting.bounds,
    formatting.count,
    formatting.detail,
    formatting.interval,
    formatting.limit,
    formatting.number,
    formatting.percent,
    formatting.quantity,
    formatting.reasons,
    formatting.spread,
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
    training_words.training_cost,
    verdicts.group_about,
    verdicts.line_about,
)


def render_report(
    evidence: Evidence,
    *,
    previous: Evidence | None = None,
    audit_key: str | None = None,
    profiles: Sequence[Profile] | None = None,
) -> str:
    """The report of ``audit_model``.

    Args:
        evidence: judged or not; a gate of None is shown as a closed one.
        previous: the evidence of the audit before this one, to say what changed since.
        audit_key: the artefact that this audit is, for the inventory entry.
        profiles: of rules and guidelines; None takes the shipped ones.
    """
    chosen = largest_population(evidence)
    policy, written = evidence.policy, units(evidence)
    compared = comparison(previous, evidence)
    sections = sections_of(policy.task, any_change=bool(compared.changes))
    return render_template(
        "audit.html.j2",
        verdict=verdicts.model_verdict(evidence),
        evidence=evidence,
        evidence_file=EVIDENCE_FILE,
        is_forecast=policy.is_forecast,
        data=evidence.data,
        gate=evidence.gate,
        limits_order=deciding.limits_words(evidence.limits_order),
        compared=compared,
        why_closed=why_closed(evidence),
        headlines=headlines(evidence),
        unknowns=cannot_tell(evidence),
        layout=LAYOUTS[policy.task],
        sections=sections,
        units=written,
        flow=flow_table(evidence.data.flow),
        flow_diagram=flow_chart(evidence.data, policy.is_forecast),
        checks=check_summaries(evidence.data.checks),
        forests=forests(chosen, policy, written) if chosen else [],
        gaps=drawn_gaps(chosen, policy) if chosen else [],
        any_pooled=any(group.pooled for p in evidence.populations for group in p.groups),
        forest_population=chosen.population if chosen else "",
        groups=[(p.population, group_tables(p)) for p in evidence.populations],
        **_around(evidence, previous, audit_key, profiles, sections),
        **(_of_forecasts(evidence, chosen, written) if policy.is_forecast else _of_risk(evidence)),
    )


def render_json(
    evidence: Evidence,
    *,
    previous: Evidence | None = None,
    audit_key: str | None = None,
) -> str:
    """report.json: the same as :func:`render_report` for machines, the same bytes each time."""
    return report_text(report_model(evidence, previous, audit_key, load_profiles()))


def section_anchors(evidence: Evidence, previous: Evidence | None = None) -> tuple[str, ...]:
    """The sections that the report of this evidence has."""
    any_change = bool(comparison(previous, evidence).changes)
    return tuple(anchor for anchor, *_ in sections_of(evidence.policy.task, any_change=any_change))


def _around(
    evidence: Evidence,
    previous: Evidence | None,
    audit_key: str | None,
    profiles: Sequence[Profile] | None,
    sections: Sequence[Section],
) -> dict[str, Any]:
    """What stands around the numbers: outcome, plans, inventory, rules, index."""
    chosen = load_profiles() if profiles is None else profiles
    raw, anchors = as_json(evidence), [anchor for anchor, *_ in sections]
    return {
        "outcome": outcome_rows(evidence),
        "monitoring": monitoring_plan(evidence.policy),
        "inventory": inventory_text(evidence, audit_key),
        "profiles": coverage_of(chosen, raw, anchors),
        "index": evidence_index(evidence, raw, previous),
        "page_one_command": COMMAND,
    }


def _of_risk(evidence: Evidence) -> dict[str, Any]:
    return {
        "patient_harms": patient_harm_view(evidence),
        "mitigation": mitigation_view(evidence),
        "curves": [(p.population, curves(p)) for p in evidence.populations],
    }


def _of_forecasts(
    evidence: Evidence, chosen: PopulationEvidence | None, written: Units
) -> dict[str, Any]:
    return {
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


def render_prediction_report(evidence: PredictionEvidence) -> str:
    """The report of ``audit_predictions``; as :func:`render_report`."""
    return render_template(
        "predictions.html.j2",
        verdict=verdicts.prediction_verdict(evidence.study, evidence.rows, evidence.gate),
        evidence=evidence,
        evidence_file=EVIDENCE_FILE,
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
    return render_template(
        "crash.html.j2",
        verdict=verdicts.crash_verdict(study),
        study=study,
        stage=stage,
        error=type(error).__name__,
        lineage=lineage,
    )


def render_template(template: str, **context: Any) -> str:
    """A page of templates/, with the filters that write numbers and words."""
    page = _environment().get_template(template).render(context)
    # A table that scrolls sideways must be within reach of the keyboard, and have a name.
    return SIDEWAYS.sub(r'\g<0> tabindex="0" role="group" aria-label="Table"', page)


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
