"""One machine trains, another scores: between them a store and a few small folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.journal import read_entries
from pipelines.publication.store import open_store
from pipelines.releases import current_release
from pipelines.settings import settings
from tests.dags.installations import environment, python, quick_study, write_studies
from tests.pipelines.s3_server import CANARY_KEY, CANARY_SECRET, S3Server, running_server

STUDY = "quick"
# What docs/artefacts.md says that machines share beside the store, of what this study writes.
SHARED = ("anchors", "approvals", "journal", "looks", "publication", "releases", "trials")
SCORING_REUSES = {"merge_events", "check_events"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("s3") / "log") as running:
        yield running


def run(home: Path, server: S3Server, bucket: str, *words: str) -> str:
    """A flow of the study on the machine with this home; what it said."""
    reached = {**server.environment, "EQUIPOISE_ARTEFACTS_URL": f"s3://{bucket}/artefacts"}
    variables = environment(home, home.parent / "studies", toy=False) | reached
    code, output, errors = python("-m", "dags.run", STUDY, *words, env=variables, timeout_s=1800)
    assert code == 0, output + errors
    return output + errors


@pytest.mark.slow
def test_what_one_machine_trained_another_scores_with_and_no_secret_is_written_down(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_studies(tmp_path / "studies", quick=quick_study())
    one, two, bucket = tmp_path / "one", tmp_path / "two", server.new_bucket()
    said = run(one, server, bucket, "--flow", "train")
    two.mkdir()
    for folder in SHARED:
        (one / folder).mkdir(exist_ok=True)
        (two / folder).symlink_to(one / folder)
    said += run(two, server, bucket, "--flow", "score", "--as-of", "2026-11-22")

    monkeypatch.setenv("EQUIPOISE_HOME", str(two))
    release, table = current_release(STUDY), open_store(settings()).read_current(STUDY)
    assert table.height > 0
    assert set(table["release_id"]) == {release.release_id}
    entries = list(read_entries(STUDY))
    scored = [entry for entry in entries if entry.flow == "score"]
    reused = {entry.stage for entry in scored if not entry.made}
    assert reused >= SCORING_REUSES
    for entry in scored:
        there, here = two / "artefacts" / entry.key, one / "artefacts" / entry.key
        if entry.made:
            assert not here.exists()
        else:
            assert (there / "manifest.json").read_bytes() == (here / "manifest.json").read_bytes()
    files = [file for home in (one, two) for file in home.rglob("*") if file.is_file()]
    for canary in (CANARY_KEY, CANARY_SECRET):
        assert canary not in said
        assert not [file for file in files if canary.encode() in file.read_bytes()]
