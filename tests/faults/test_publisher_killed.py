"""kill -9 of the publisher at any moment: readers see one whole generation, the next repairs."""

import shutil
import time
from pathlib import Path

import polars as pl
import pytest

from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.settings import settings
from tests.faults.publishers import (
    PATIENCE_SECONDS,
    STRIDE,
    Installation,
    last_word,
    publish_number,
    publishing,
    rows_of,
    wait_for,
    watching,
)
from tests.pipelines.publication_examples import STUDY


def repair(number: int) -> float:
    """Publish once more and check that all is whole and current; seconds of the publication."""
    started = time.monotonic()
    generation = publish_number(number)
    seconds = time.monotonic() - started
    current = open_store(settings()).read_current(STUDY)
    assert current["generation_id"].unique().to_list() == [generation]
    assert current.height == rows_of(number)
    folders = PublicationFolders(settings().publication_dir)
    if not settings().database_url:
        assert pl.read_parquet(folders.parquet).equals(current)
        assert not any(folders.drafts.iterdir())
    return seconds


def kill_often(installation: Installation, kills: int) -> tuple[int, int, int]:
    """Kill as many publishers, repair after each, while a reader looks on.

    Returns the kills that fell into a publication, the reader's looks, the generations it saw.
    """
    hits, seconds = 0, repair(1)
    with watching(installation) as reader:
        for kill in range(1, kills + 1):
            with publishing(installation, STRIDE * kill + 1) as publisher:
                # Multiples of the golden ratio spread evenly over a publication, however many.
                time.sleep(0.618034 * kill % 1 * seconds)
            hits += last_word(publisher) != "ended"
            # The next publisher repairs what this one left; now and then it is looked at whole.
            if kill % 5 == 0:
                seconds = repair(STRIDE * (kill + 1))
        reader.send("stop")
        assert reader.poll(PATIENCE_SECONDS), "the reader died"
        looks, generations, wrong = reader.recv()
    assert wrong == []
    assert open_store(settings()).verify() == ()
    return hits, looks, generations


def test_readers_never_see_a_mix_while_twenty_publishers_are_killed(
    installation: Installation,
) -> None:
    hits, looks, generations = kill_often(installation, kills=20)
    print(f"{hits} of 20 kills fell into a publication; {looks} looks, {generations} seen")
    # Else the kills came between publications and nothing was tried.
    assert hits >= 5
    assert looks >= 20
    assert generations >= 3


@pytest.mark.faults
@pytest.mark.slow
def test_readers_never_see_a_mix_while_three_hundred_publishers_are_killed(
    installation: Installation,
) -> None:
    hits, looks, generations = kill_often(installation, kills=300)
    print(f"{hits} of 300 kills fell into a publication; {looks} looks, {generations} seen")
    assert hits >= 150
    assert generations >= 50


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The embedded store, which makes its file itself."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    return Installation(str(tmp_path), "")


@pytest.mark.faults
@pytest.mark.slow
def test_a_publisher_killed_while_it_makes_the_store_leaves_one_that_can_be_made(
    home: Installation,
) -> None:
    with publishing(home, 1) as publisher:
        seconds = wait_for(publisher, "ended")
    for step in range(10):
        shutil.rmtree(Path(home.home) / "publication")
        with publishing(home, 1):
            time.sleep(step / 10 * seconds)
        repair(STRIDE)


def test_a_publisher_killed_the_moment_its_database_appears_leaves_no_half_of_one(
    home: Installation,
) -> None:
    private = PublicationFolders(Path(home.home) / "publication").private
    with publishing(home, 1):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(private.rglob("writer.duckdb")) and time.monotonic() < deadline:
            time.sleep(0.001)
    repair(STRIDE)
