"""What a study says of itself, for the report: owner, outcome, horizon, inputs.

Its schedule is left out: another hour of scoring is no reason to audit a model again.
"""

import json
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
        **load_domain(spec.domain).declared(spec.records),
        horizon=f"{load_domain(spec.domain).horizon(spec.records)} after the index time",
        inputs=(*(channel["code"] for channel in words["channels"]), *words["statics"]),
    )


def own_words(spec: Study) -> dict[str, Any]:
    """What the study says of itself and its data: an audit is made and released under these."""
    own = {"name", "title", "owner", "purpose", "not_for", "limits_of_the_data"}
    of_records = load_domain(spec.domain).declared(spec.records)
    return spec.model_dump(mode="json", include=own) | {"records": of_records}
