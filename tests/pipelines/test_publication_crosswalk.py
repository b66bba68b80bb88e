"""The crosswalk keeps every pair, one to one, and only its owner reads it."""

import stat
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import SourceInvalid, SourceMissing, StudyInvalid
from pipelines.publication.crosswalk import read_crosswalk, write_crosswalk
from pipelines.settings import Settings
from tests.pipelines.publication_examples import STUDY


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, studies_dir=tmp_path)


def pairs(**named: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"subject_id": list(named.values()), "source_id": list(named)},
        schema={"subject_id": pl.Int64, "source_id": pl.String},
    )


def test_the_file_and_its_folder_are_for_their_owner_alone(home: Settings) -> None:
    path = write_crosswalk(STUDY, pairs(a=1), home)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert {file.name for file in path.parent.iterdir()} == {path.name, ".lock"}


def test_a_folder_that_others_could_enter_is_narrowed(home: Settings) -> None:
    folder = home.publication_dir / "private" / "crosswalk"
    folder.mkdir(parents=True, mode=0o755)
    write_crosswalk(STUDY, pairs(a=1), home)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_subject_who_left_the_source_is_still_found(home: Settings) -> None:
    write_crosswalk(STUDY, pairs(a=1, b=2), home)
    write_crosswalk(STUDY, pairs(b=2, c=3), home)

    assert_frame_equal(read_crosswalk(STUDY, home), pairs(a=1, b=2, c=3))


def test_source_ids_that_are_numbers_are_kept_as_text(home: Settings) -> None:
    write_crosswalk(STUDY, pl.DataFrame({"subject_id": [5], "source_id": [17]}), home)

    assert read_crosswalk(STUDY, home).rows() == [(5, "17")]


@pytest.mark.parametrize(
    "broken",
    [
        pl.DataFrame({"subject_id": [1], "source_id": ["b"]}),
        pl.DataFrame({"subject_id": [2], "source_id": ["a"]}),
        pl.DataFrame({"subject_id": [None], "source_id": ["c"]}),
        pl.DataFrame({"subject_id": [3], "source_id": [None]}),
    ],
    ids=["two source ids", "two pseudonyms", "no pseudonym", "no source id"],
)
def test_pairs_that_are_not_one_to_one_are_refused_and_the_old_file_stays(
    home: Settings, broken: pl.DataFrame
) -> None:
    write_crosswalk(STUDY, pairs(a=1), home)
    with pytest.raises(SourceInvalid, match="1 pairs"):
        write_crosswalk(STUDY, broken, home)
    assert_frame_equal(read_crosswalk(STUDY, home), pairs(a=1))


def test_a_draft_of_a_killed_writer_is_no_hindrance(home: Settings) -> None:
    path = write_crosswalk(STUDY, pairs(a=1), home)
    (path.parent / f".draft-{path.name}").write_text("half a fi")
    write_crosswalk(STUDY, pairs(b=2), home)

    assert_frame_equal(read_crosswalk(STUDY, home), pairs(a=1, b=2))


def test_a_study_without_a_crosswalk_says_so(home: Settings) -> None:
    with pytest.raises(SourceMissing, match="no crosswalk"):
        read_crosswalk(STUDY, home)


def test_a_study_name_cannot_leave_the_private_folder(home: Settings) -> None:
    with pytest.raises(StudyInvalid):
        write_crosswalk("../../elsewhere", pairs(a=1), home)
