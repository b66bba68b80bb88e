"""A number of the first page: what it is, where it lies, and how it is written."""

from dataclasses import dataclass

from validation.estimates import Estimate


@dataclass(frozen=True)
class Figure:
    """A number, or a value with its interval, as it stands on the first page.

    path: where it lies in evidence.json; of a number worked out, what it was worked out from.
    """

    what: str
    path: str
    values: tuple[float, ...]
    written: str


def values_of(estimate: Estimate) -> tuple[float, ...]:
    return tuple(v for v in (estimate.value, estimate.low, estimate.high) if v is not None)
