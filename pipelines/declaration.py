"""What a study says of itself, for the report: owner, outcome, horizon, inputs.

Its schedule is left out: another hour of scoring is no reason to audit a model again.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.domains import load_domain
from pipelines.study import Study
from validation.declaration import Declaration


def declaration_of(spec: Study, sequences: Path) -> Declaration:
    """The study's own words, and the inputs that its sequences hold.

    Args:
        sequences: the folder of the sequences that the model learned from.
    """
    words = json.loads((sequences / "sequence.json").read_text())
    return Declaration(
        owner=spec.owner,
        domain=spec.domain,
        purpose=spec.purpose.strip(),
        not_for=spec.not_for.strip(),
        outcome=spec.title,
        **_records(spec),
        horizon=f"{load_domain(spec.domain).horizon(spec.records)} after the index time",
        inputs=(*(channel["code"] for channel in words["channels"]), *words["statics"]),
    )


def _records(spec: Study) -> dict[str, str]:
    """Source, index and censoring in words; nothing where nobody wrote them for the domain.

    No domain is imported here: what one of them changes must not audit the others again.
    """
    words = {"ehr": _of_patients, "market": _of_instruments}
    return words[spec.domain](spec.records) if spec.domain in words else {}


def _of_patients(records: Any) -> dict[str, str]:
    cohort, outcome = records.cohort, records.outcome
    free = f" and had no {_listed(cohort.exclude_prior)} before" if cohort.exclude_prior else ""
    ends = [code for code in outcome.end_of_follow_up if code not in outcome.competing]
    censoring = f"whose records end ({_listed(ends)}) within the horizon without the outcome"
    if outcome.competing:
        censoring += f"; after {_listed(outcome.competing)} it counts as not having happened"
    return {
        "source": f"the tables of the package {records.source.package}",
        "index": f"the first {_listed([cohort.index])}, of whoever is "
        f"{cohort.minimum_age_years} or older then{free}",
        "censoring": censoring,
    }


def _of_instruments(records: Any) -> dict[str, str]:
    source, index = records.source, records.index
    apart = index.every_sessions
    every = "each session" if apart == 1 else f"one in {apart} sessions"
    return {
        "source": f"bars of the sessions of {source.exchange}, in {source.currency}",
        "index": f"the close of {every}, once {index.minimum_history_sessions} sessions are known",
        "censoring": "while the sessions of the horizon have not all closed",
    }


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(code.replace("_", " ") for code in codes)
