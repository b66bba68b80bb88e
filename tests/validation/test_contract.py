"""What a study may declare about its tables, and what it may not."""

from datetime import date

import pytest
from pydantic import ValidationError

from validation.contract import CodeContract, TableContract

CONTRACT = TableContract(
    codes={"hdl": CodeContract(low=5, high=200), "stroke": CodeContract()},
    earliest=date(1990, 1, 1),
    latest=date(2020, 12, 31),
    minimum_events=3,
    max_quarantined_share=0.10,
)


def test_a_code_with_a_range_is_numeric_and_one_without_is_an_event() -> None:
    assert CONTRACT.numeric_codes == ("hdl",)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("codes", {"hdl": {"low": 5}}, "both low and high"),
        ("codes", {"hdl": {"low": 5, "high": 5}}, "low must be below high"),
        ("codes", {}, "at least 1 item"),
        ("earliest", date(2021, 1, 1), "earliest must be before latest"),
        ("maximum_events", 2, "must not be below minimum_events"),
        ("acknowledged_copies", (("hdl", "chol"),), "undeclared codes: chol"),
        ("max_quarantined_share", 1.1, "less than or equal to 1"),
        ("subject_attributes", {"age": {"type": "integer", "allowed": ["1"]}}, "text attributes"),
        ("surprise", 1, "Extra inputs are not permitted"),
    ],
)
def test_a_contract_that_cannot_be_meant_is_refused(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TableContract.model_validate(CONTRACT.model_dump() | {field: value})
