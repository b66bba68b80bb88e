"""What a shared store is told by the environment: its address, and how often to keep there."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import StudyInvalid
from pipelines.settings import settings


@pytest.mark.parametrize(
    "url", ["s3://AKIA:canary@bucket/prefix", "bucket/prefix", "s3://", "s3://bucket?key=canary"]
)
def test_an_address_that_is_none_or_holds_credentials_is_refused_and_not_said(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS_URL", url)
    with pytest.raises(StudyInvalid, match="no address of a store") as refused:
        settings()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "1441", "five", ""])
def test_minutes_between_checkpoints_are_some_and_at_most_a_day(
    minutes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_CHECKPOINT_MINUTES", minutes)
    with pytest.raises(StudyInvalid, match="no number of minutes"):
        settings()


def test_without_an_address_the_local_folder_is_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody pays for a client that is not used; Compose writes an empty variable for none."""
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS_URL", "")
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS", str(tmp_path / "own"))
    program = (
        "import sys; from pipelines.stage import store; print(store().shared, store().root);"
        "print(sorted({'fsspec', 's3fs', 'botocore'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert said == f"None {tmp_path / 'own'}\n[]\n"
