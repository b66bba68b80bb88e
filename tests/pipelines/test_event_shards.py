"""Events made in shards: the same tables for any number of them, in any order, tried again."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import source_files
from pipelines.domains import DOMAIN_MODULES, SHARDED, load_domain
from pipelines.ehr import domain, sharded_rows
from pipelines.ehr.config import EhrConfig
from pipelines.errors import SourceInvalid, StudyInvalid
from pipelines.event_store import bucket_of, event_files, event_parts, read_events, read_subjects
from pipelines.events import Ingested, ingest
from pipelines.ingested_tables import read_accounts
from pipelines.publication.crosswalk import has_crosswalk, read_crosswalk
from pipelines.row_accounts import FileAccount, added_up, require_all_rows
from pipelines.settings import settings as installation
from pipelines.shards import BUCKETS, WHOLE, Shard, shards
from pipelines.source_files import read_text
from pipelines.stage import store
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.merge_events import merge_events
from tests.pipelines.shard_examples import Row, ehr, many_rows, write_source, write_study
from tests.pipelines.ward_examples import by_published_key

PEOPLE, ROWS = 30, 400
KINDS = ("parquet", "csv")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Enter an installation of its own, with the same records and key as every other one."""
    write_study(tmp_path / "studies", "parquet")
    write_source(tmp_path / "data" / "clinic", "parquet", *many_rows(PEOPLE, ROWS), PEOPLE)
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_DATA", str(tmp_path / "data"))

    def enter(name: str) -> Path:
        home = tmp_path / name
        key = home / "secrets" / "pseudonym.key"
        key.parent.mkdir(parents=True)
        key.parent.chmod(0o700)
        key.write_bytes(bytes(range(32)))
        key.chmod(0o600)
        monkeypatch.setenv("EQUIPOISE_HOME", str(home))
        return home

    return enter


def made_in(count: int, order: random.Random | None = None) -> str:
    """The key of the clinic's events, by so many shards, made and merged in any order."""
    words = [str(shard) for shard in shards(count)]
    if order is not None:
        order.shuffle(words)
    keys = [ingest_events("clinic", shard) for shard in words]
    assert len(set(keys)) == count
    if order is not None:
        order.shuffle(keys)
    return merge_events("clinic", keys)


def test_one_three_and_eight_shards_in_any_order_are_the_same_key_and_the_same_bytes(
    home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home("one")
    key = made_in(1)
    bytes_of_one, counts = store().content_sha256(key), store().manifest(key)["counts"]
    assert counts["events"] == read_events(store().open(key)).height > 100
    assert min(counts["quarantined"], counts["duplicates"], counts["empty"]) > 0
    for count in (3, 8):
        # As if only a few rows fitted memory: what is spilled is read back whole.
        monkeypatch.setattr(sharded_rows, "ROWS_AT_ONCE", 40)
        home(f"{count} shards")
        assert made_in(count, random.Random(count)) == key  # noqa: S311
        assert store().content_sha256(key) == bytes_of_one
        assert store().manifest(key)["counts"] == counts
        assert read_crosswalk("clinic", installation()).height == counts["subjects"]


def test_what_there_is_of_all_shards_is_not_made_in_shards_again(
    home: Callable[[str], Path],
) -> None:
    home("one")
    key = made_in(1)
    assert ingest_events("clinic", "2/3") == key
    assert merge_events("clinic", [key, key, key]) == key
    assert len(store().keys("ingest_events")) == 1


def test_the_copy_of_the_source_that_a_killed_attempt_left_goes_though_all_is_merged(
    home: Callable[[str], Path],
) -> None:
    left = home("one") / "artefacts" / "ingest_events" / ".draft-0123456789abcdef-1-x" / "work"
    key = made_in(1)
    left.mkdir(parents=True)
    os.utime(left.parent, (0, 0))
    assert ingest_events("clinic", "2/3") == key
    assert not left.parent.exists()


def test_a_shard_of_a_source_that_is_replaced_while_it_is_read_is_not_kept(
    home: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home("one")
    others = many_rows(PEOPLE, ROWS + 1)

    def replaced(*given: Any) -> Any:
        write_source(tmp_path / "data" / "clinic", "parquet", *others, PEOPLE)
        return ingest(*given)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.stages.ingest_events.ingest", replaced)
        with pytest.raises(SourceInvalid, match="changed while it was read"):
            ingest_events("clinic", "0/1")
    assert store().keys("ingest_events") == []
    assert not has_crosswalk("clinic", installation())
    made_in(1)


def test_parts_that_are_not_all_shards_of_the_source_are_not_merged(
    home: Callable[[str], Path], tmp_path: Path
) -> None:
    home("three")
    first, second, third = (ingest_events("clinic", str(shard)) for shard in shards(3))
    for parts in ([first, second], [first, first, third], [first, second, third, third]):
        with pytest.raises(SourceInvalid, match=f"are not the {len(parts)} shards"):
            merge_events("clinic", parts)
    labs, visits = many_rows(PEOPLE, ROWS + 1)
    write_source(tmp_path / "data" / "clinic", "parquet", labs, visits, PEOPLE)
    with pytest.raises(SourceInvalid, match="If the source or the study changed"):
        merge_events("clinic", [first, second, third])
    assert store().keys("merge_events") == []


CHILD = """
import os, signal, sys
from pipelines.stages import ingest_events as stage
if sys.argv[1] == "killed":
    stage.write_tables = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
print(stage.ingest_events("clinic", "1/3"))
"""


def child(how: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, how], stdout=subprocess.PIPE, text=True)


@pytest.mark.faults
def test_a_shard_that_was_killed_is_made_again_and_two_that_make_it_at_once_agree(
    home: Callable[[str], Path],
) -> None:
    home("one")
    bytes_of_one = store().content_sha256(made_in(1))
    home("three")
    killed = child("killed")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert store().keys("ingest_events") == []
    both = [child("twice"), child("twice")]
    told = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0] == told[1] == store().keys("ingest_events")[0]
    assert store().content_sha256(made_in(3)) == bytes_of_one


def test_a_shard_holds_its_own_subjects_and_a_bucket_is_read_alone(
    home: Callable[[str], Path],
) -> None:
    home("one")
    folder = store().open(made_in(1))
    events, subjects = read_events(folder), read_subjects(folder)
    assert subjects["subject_id"].is_sorted()
    for shard in shards(5):
        first, last = shard.subject_ids
        mine = events.filter(pl.col("subject_id").is_between(first, last))
        assert read_events(folder, shard).equals(mine)
        assert set(event_files(folder, shard)) == set(mine.select(bucket_of()).to_series().unique())
        assert read_subjects(folder, shard).equals(
            subjects.filter(pl.col("subject_id").is_between(first, last))
        )
    parts = list(event_parts(folder, most_events=40))
    assert pl.concat(parts).equals(events)
    assert len(parts) > 3
    assert sum(part["subject_id"].n_unique() for part in parts) == events["subject_id"].n_unique()
    assert read_events(folder, columns=["code"]).equals(events.select("code"))


def ingested(config: EhrConfig, shard: Shard) -> list[Ingested]:
    with TemporaryDirectory() as work:
        parts = domain.record_parts(config, shard, by_published_key, Path(work))
        return [ingest(records, by_published_key) for records in parts]


cells = st.sampled_from(["1", "50", "900", "soon", "-1", " ", None])
names = st.sampled_from(["p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07", "x", " ", None])
lab = st.tuples(names, cells, st.sampled_from(["hdl", "stroke", "?", None]), cells)
visit = st.tuples(names, cells, cells, cells)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(st.lists(lab, max_size=30), st.lists(visit, max_size=10), st.integers(0, 8))
def test_accounts_and_rows_of_shards_are_those_of_the_whole(
    kind: str, labs: list[Row], visits: list[Row], people: int
) -> None:
    config = EhrConfig.model_validate(ehr(kind))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        write_source(Path(folder) / "clinic", kind, labs, visits, people)
        patch.setenv("EQUIPOISE_DATA", folder)
        [whole] = ingested(config, WHOLE)
        patch.setattr(sharded_rows, "ROWS_AT_ONCE", 5)
        parts = [part for shard in shards(3) for part in ingested(config, shard)]
    assert added_up(part.accounts for part in parts) == whole.accounts
    # Four places are declared, whether they have rows or not; a cell is a row of a wide table.
    assert [account.part for account in whole.accounts] == [
        "subjects",
        "enrolled",
        "what",
        "bmi, sbp",
    ]
    assert [account.rows_in for account in whole.accounts] == [
        people + 1 + (people > 0),
        people + 1 + (people > 0),
        len(labs),
        2 * len(visits),
    ]
    rows = ["source_file", "source_row", "code"]
    for table in ("events", "subjects", "quarantine", "crosswalk"):
        told = pl.concat([getattr(part, table) for part in parts])
        expected = getattr(whole, table)
        by = ["source_file", "part", "source_row", "code"] if table == "quarantine" else rows
        by = [name for name in by if name in expected.columns] or ["subject_id"]
        assert told.sort(by).equals(expected.sort(by))


def test_a_row_that_names_nobody_is_in_the_first_bucket(tmp_path: Path) -> None:
    config = EhrConfig.model_validate(ehr("parquet"))
    nobody: list[Row] = [(None, "1", "hdl", "50"), (" ", "1", "hdl", "50")]
    write_source(tmp_path / "clinic", "parquet", nobody, [], 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_DATA", str(tmp_path))
        lost = [
            sum(part.quarantine.filter(pl.col("part") == "what").height for part in parts)
            for parts in (ingested(config, shard) for shard in shards(BUCKETS))
        ]
    assert lost == [2] + [0] * (BUCKETS - 1)


def account(rows_in: int, accepted: int, **by_rule: int) -> FileAccount:
    broken = sum(by_rule.values())
    return FileAccount(
        "a.csv", "x", rows_in, 1, accepted, broken, 2, by_rule, dict.fromkeys(by_rule, "why")
    )


def test_accounts_are_added_rule_by_rule_and_a_lost_row_is_refused() -> None:
    both = added_up([[account(10, 4, b=2, a=1)], [account(9, 3, b=3)]])
    assert [each.as_dict() for each in both] == [
        {
            "file": "a.csv",
            "part": "x",
            "rows_in": 19,
            "empty": 2,
            "accepted": 7,
            "quarantined": 6,
            "duplicates": 4,
            "quarantined_by_rule": {"a": 1, "b": 5},
            "reasons": {"a": "why", "b": "why"},
        }
    ]
    with pytest.raises(SourceInvalid, match="11 in, 10 accounted for"):
        added_up([[account(11, 4, b=2, a=1)]])
    require_all_rows(both, {("a.csv", "x"): 19})
    for rows, place in ((20, ("a.csv", "x")), (1, ("b.csv", "x"))):
        with pytest.raises(SourceInvalid, match=f"{rows} in, "):
            require_all_rows(both, {place: rows})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n3,4\n5,6\n7,", "none: the file may be cut"),
        ("a,b\n1,2\n3,4\n5,6\n7\n", "2 cells in line 5; found 1"),
        ("a,b\n1,2\n3,4\n5,6\n7,8", "a line break after the last line"),
        ('a,b\n1,2\n3,4\n5,6\n7,"8\n', "an end too soon"),
    ],
)
def test_a_text_that_was_cut_is_refused_wherever_its_batches_end(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cut.csv"
    file.write_text(text)
    for rows in (1, 2, 3, 100):
        monkeypatch.setattr(source_files, "BATCH_ROWS", rows)
        with pytest.raises(SourceInvalid, match=said):
            source_files.scan_text("csv", "cut.csv", file, tmp_path / f"{rows}")


def test_batches_of_a_text_are_the_text_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "odd.csv"
    file.write_text('\ufeffa,b\r\n" 1 ","x\ny"\r\n,"say ""so"""\r\n3,\r\n4,é\r\n')
    expected = [(1, "1", "x\ny"), (2, None, 'say "so"'), (3, "3", None), (4, "4", "é")]
    for rows in (1, 2, 3, 4, 100):
        monkeypatch.setattr(source_files, "BATCH_ROWS", rows)
        scanned = source_files.scan_text("csv", "odd.csv", file, tmp_path / f"{rows}")
        assert scanned.collect().rows() == read_text("csv", "odd.csv", file).rows() == expected


def test_a_domain_says_once_more_where_nothing_heavy_is_imported_whether_it_can_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {name for name in DOMAIN_MODULES if load_domain(name).CAN_BE_SHARDED} == SHARDED
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    with pytest.raises(StudyInvalid, match="cannot be cut into shards"):
        ingest_events("sp500_direction", "0/2")


def test_a_shards_accounts_are_its_own_and_tell_of_every_declared_file(
    home: Callable[[str], Path],
) -> None:
    home("three")
    folders = [store().open(ingest_events("clinic", str(shard))) for shard in shards(3)]
    told = [[(each.file, each.part) for each in read_accounts(folder)] for folder in folders]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 4
    rows = [json.loads((folder / "source_rows.json").read_text()) for folder in folders]
    assert rows[0] == rows[1] == rows[2]
    assert [count for _, _, count in rows[0]] == [PEOPLE + 2, PEOPLE + 2, ROWS + 20, ROWS]
