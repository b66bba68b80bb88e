"""What a study says of itself and the report repeats: who answers for it, what is predicted.

Nothing here is measured. What a study leaves out is null, and the report says that it is missing.
"""

from validation.estimates import Record


class Declaration(Record):
    """owner: who answers for the study. horizon, index, censoring: in words of a sentence.

    inputs: names of what the model may see. source: where the records come from. schedule: when
    predictions are made. not_for: what the model must not be used for.
    """

    owner: str | None = None
    domain: str | None = None
    purpose: str | None = None
    not_for: str | None = None
    source: str | None = None
    index: str | None = None
    outcome: str | None = None
    horizon: str | None = None
    censoring: str | None = None
    inputs: tuple[str, ...] = ()
    schedule: str | None = None
