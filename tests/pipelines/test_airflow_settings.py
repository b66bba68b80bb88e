"""A setting of Airflow's, as Airflow itself takes it from the environment."""

import pytest

from pipelines.airflow_settings import airflow_setting

NAME = "AIRFLOW__CELERY__BROKER_URL"


@pytest.mark.parametrize(
    ("value", "command", "expected"),
    [
        (None, None, ""),
        ("redis://plain", None, "redis://plain"),
        ("redis://plain", "echo redis://printed", "redis://plain"),
        (None, "echo ' redis://printed'", "redis://printed"),
        (None, "echo $HOME", "$HOME"),
        (None, "false", ""),
        (None, "no-such-program-of-ours", ""),
        (None, "echo 'unended", ""),
        (None, "sleep 60", ""),
    ],
)
def test_a_setting_is_its_value_or_what_its_command_prints(
    value: str | None, command: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in ((NAME, value), (f"{NAME}_CMD", command)):
        if text is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, text)
    assert airflow_setting(NAME, seconds=0.5 if command == "sleep 60" else 30.0) == expected
