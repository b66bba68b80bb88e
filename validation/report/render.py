"""One self-contained HTML page from the evidence of an audit.

The page asks the network for nothing and runs no script (its own policy forbids both), escapes
every word of study and evidence, and has the same bytes for the same evidence.
"""

from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from validation.evidence import Evidence, LineageEntry, PredictionEvidence
from validation.report import formatting, verdicts
from validation.report.limits import cannot_tell
from validation.report.views import (
    AT_THRESHOLD,
    CHALLENGER_COLUMNS,
    DIFFERENCE_COLUMNS,
    FURTHER_GROUP_COLUMNS,
    GROUP_COLUMNS,
    QUALITY,
    check_summaries,
    curves,
    flow_table,
    forest_population,
    forests,
    group_tables,
)

EVIDENCE_FILE: Final = "evidence.json"

# (anchor, heading, template), in reading order
SECTIONS: Final = (
    ("use", "Intended use", "use.html.j2"),
    ("data", "Data and exclusions", "data.html.j2"),
    ("checks", "Validation and quarantine", "checks.html.j2"),
    ("performance", "Performance", "performance.html.j2"),
    ("groups", "Groups", "groups.html.j2"),
    ("challengers", "Challengers", "challengers.html.j2"),
    ("limits", "Limits of the data", "limits.html.j2"),
    ("model", "Model", "model.html.j2"),
    ("lineage", "Lineage", "lineage.html.j2"),
)
FILTERS: Final = (
    formatting.bounds,
    formatting.count,
    formatting.detail,
    formatting.interval,
    formatting.limit,
    formatting.measurement,
    formatting.metric_name,
    formatting.metric_short,
    formatting.metric_words,
    formatting.number,
    formatting.percent,
    formatting.population_name,
    formatting.population_words,
    formatting.quantity,
    formatting.reasons,
    formatting.spoken,
    formatting.verdict_symbol,
    formatting.verdict_word,
    verdicts.group_about,
    verdicts.line_about,
)


def render_report(evidence: Evidence, *, evidence_file: str = EVIDENCE_FILE) -> str:
    """The report of ``audit_model``.

    Args:
        evidence: judged or not; a gate of None is shown as a closed one.
        evidence_file: the name of the file from which each number can be recomputed.
    """
    chosen = forest_population(evidence)
    return _render(
        "audit.html.j2",
        verdict=verdicts.model_verdict(evidence.study, evidence.gate),
        evidence=evidence,
        evidence_file=evidence_file,
        data=evidence.data,
        gate=evidence.gate,
        unknowns=cannot_tell(evidence),
        sections=SECTIONS,
        flow=flow_table(evidence.data.flow),
        checks=check_summaries(evidence.data.checks),
        curves=[(p.population, curves(p)) for p in evidence.populations],
        forests=forests(chosen, evidence.policy) if chosen else [],
        forest_population=chosen.population if chosen else "",
        groups=[(p.population, group_tables(p)) for p in evidence.populations],
        quality=QUALITY,
        at_threshold=AT_THRESHOLD,
        group_columns=GROUP_COLUMNS,
        further_group_columns=FURTHER_GROUP_COLUMNS,
        challenger_columns=CHALLENGER_COLUMNS,
        difference_columns=DIFFERENCE_COLUMNS,
    )


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
