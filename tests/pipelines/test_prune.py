"""Prune: what rests on a result stays, the rest goes; nothing goes by halves or while used."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.artefacts import ArtefactStore, Counts, Recipe
from pipelines.cli import app
from pipelines.errors import ArtefactCorrupt, StoreLocked, StudyInvalid
from pipelines.journal import JournalEntry, append_entry
from pipelines.ledger import Ledger
from pipelines.needed_artefacts import MADE_AGAIN
from pipelines.prune import carry_out, plan_prune
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.settings import Settings, settings
from pipelines.training_process import one_attempt_at_a_time

DAY = 24 * 3600
STEPS = sorted(MADE_AGAIN)
RESULTS = ["audit_model", "audit_predictions", "compare_models", "run_trial", "a_stage_of_tomorrow"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    return settings()


def store(home: Settings) -> ArtefactStore:
    return ArtefactStore(home.artefacts_dir)


def write(draft: Path) -> Counts:
    (draft / "table.txt").write_text("x" * 1000)
    return {}


def make(
    home: Settings, stage: str, inputs: Sequence[str] = (), *, number: int = 0, days_old: float = 30
) -> str:
    """An artefact made so many days ago."""
    named = dict(zip("abcdefghij", inputs, strict=False))
    if stage in ("check_events", "explain_predictions") and inputs:
        named = {{"check_events": "events"}.get(stage, "scores"): inputs[0]}
    recipe = Recipe(stage, {}, {}, {"number": number}, named, {})
    artefact = store(home).make(recipe, write)
    age(artefact.path, days_old)
    return artefact.key


def age(path: Path, days: float) -> None:
    moment = time.time() - days * DAY
    for each in [path, *path.rglob("*")]:
        os.utime(each, (moment, moment))


def note_use(key: str, *, days_ago: float, study: str = "toy") -> None:
    moment = time.time() - days_ago * DAY
    append_entry(
        JournalEntry(
            study=study,
            stage=key.split("/")[0],
            key=key,
            made=False,
            seconds=0.0,
            counts={},
            at_unix=moment,
        )
    )


def prune(home: Settings, *, older_than_days: float = 7) -> set[str]:
    """Prune and tell which artefacts are gone, after a look that every other one is whole."""
    before = kept(home)
    plan = plan_prune(store(home), home, older_than_days=older_than_days)
    carry_out(plan, store(home))
    after = kept(home)
    for key in after:
        store(home).open(key)
    assert {removal.key for removal in plan.removals if removal.key} == before - after
    return before - after


def kept(home: Settings) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in home.artefacts_dir.glob("[!.]*/[!.]*")}


# ---- what is needed ------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...], bool]]:
    """(stage, places of its inputs, whether a release names it), inputs before what uses them."""
    size = draw(st.integers(1, 10))
    steps = [name for name in STEPS if name not in ("check_events", "explain_predictions")]
    return [
        (
            draw(st.sampled_from(steps + RESULTS)),
            tuple(draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else ()),
            draw(st.booleans()) and draw(st.booleans()),
        )
        for place in range(size)
    ]


@hypothesis_settings(max_examples=15, deadline=None)
@given(graph=graphs())
def test_exactly_what_no_result_and_no_record_was_made_of_goes(
    tmp_path_factory: pytest.TempPathFactory, graph: list[tuple[str, tuple[int, ...], bool]]
) -> None:
    home = Settings(home=tmp_path_factory.mktemp("home"), studies_dir=Path())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(home.home))
        keys: list[str] = []
        for number, (stage, inputs, _) in enumerate(graph):
            keys.append(make(home, stage, [keys[i] for i in inputs], number=number))
        releases = Ledger(home.releases_dir / "toy")
        with releases.writing():
            for key, (_, _, is_named) in zip(keys, graph, strict=True):
                if is_named:
                    releases.add({"release": {"model_key": key}})

        gone = prune(home)

    # The naive way: from each artefact that may go, look whether any path leads to a need.
    def is_needed(place: int) -> bool:
        stage, _, is_named = graph[place]
        uses = [i for i, (_, inputs, _) in enumerate(graph) if place in inputs]
        return is_named or stage in RESULTS or any(is_needed(user) for user in uses)

    assert gone == {key for place, key in enumerate(keys) if not is_needed(place)}


@pytest.mark.parametrize("stage", ["check_events", "explain_predictions"])
def test_what_tells_of_an_artefact_stays_as_long_as_it(home: Settings, stage: str) -> None:
    of = {"check_events": "ingest_events", "explain_predictions": "score_subjects"}[stage]
    used, unused = make(home, of), make(home, of, number=1)
    audit = make(home, "audit_predictions", [used])
    beside_used, beside_unused = make(home, stage, [used]), make(home, stage, [unused])

    assert prune(home) == {unused, beside_unused}
    assert kept(home) == {used, audit, beside_used}


@pytest.mark.parametrize("folder", ["approvals/toy", "trials/toy", "looks"])
def test_a_key_that_a_record_names_stays(home: Settings, folder: str) -> None:
    named, other = make(home, "predict_holdout"), make(home, "predict_holdout", number=1)
    record = Ledger(home.home / folder)
    with record.writing():
        record.add({"trial_id": f"{named} against last_value", "kind": "look"})

    assert prune(home) == {other}


def test_that_somebody_trained_it_is_no_need_for_a_model(home: Settings) -> None:
    model = make(home, "train_model")
    record = Ledger(home.approvals_dir / "toy")
    with record.writing():
        record.add({"kind": "training", "model_key": model, "by": "Ada"})

    assert prune(home) == {model}


# ---- what is in use ------------------------------------------------------------------------------


def test_what_was_made_or_used_in_the_days_named_stays(home: Settings) -> None:
    young = make(home, "ingest_events", number=1, days_old=6)
    reused, forgotten = make(home, "train_model", number=2), make(home, "train_model", number=3)
    for key in (forgotten, reused):
        note_use(key, days_ago=20)
    note_use(reused, days_ago=6)
    make(home, "train_model", number=4, days_old=0.5)
    note_use(reused, days_ago=5)

    assert prune(home) == {forgotten}
    assert prune(home, older_than_days=1) == {young}  # the newest use of a stage is kept


def test_less_than_a_day_is_refused(home: Settings) -> None:
    with pytest.raises(StudyInvalid):
        plan_prune(store(home), home, older_than_days=0.5)


def test_what_a_run_took_up_after_it_was_listed_is_put_back(home: Settings) -> None:
    taken, left = make(home, "ingest_events", number=1), make(home, "ingest_events", number=2)
    plan = plan_prune(store(home), home)
    note_use(taken, days_ago=0)

    assert carry_out(plan, store(home)) == 1
    assert kept(home) == {taken}
    store(home).open(taken)
    # It is the newest of its stage now, and stays.
    assert plan_prune(store(home), home).removals == ()
    assert left not in kept(home)


@pytest.fixture
def under_way(home: Settings) -> Iterator[Path]:
    """A training of the day before yesterday that still runs: it holds its workspace's lock."""
    workspace = home.artefacts_dir / "train_model" / ".work-0123456789abcdef"
    workspace.mkdir(parents=True)
    with (workspace / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        age(workspace, 20)
        yield workspace


def test_while_a_training_runs_all_stays_that_was_used_since_a_day_before_it(
    home: Settings, under_way: Path
) -> None:
    input_of_it = make(home, "build_sequences", number=1, days_old=20.5)
    older = make(home, "build_sequences", number=2, days_old=22)

    assert prune(home) == {older}
    assert under_way.exists()
    assert input_of_it in kept(home)


def test_what_killed_processes_left_goes_after_a_day(home: Settings) -> None:
    folder = home.artefacts_dir / "train_model"
    names = [".work-old", ".work-new", ".draft-old-1-x", ".draft-new-1-x", ".trash-any"]
    for name in names:
        (folder / name).mkdir(parents=True)
        age(folder / name, 30 if "old" in name else 0)

    assert prune(home) == set()
    assert {path.name for path in folder.iterdir()} == {".work-new", ".draft-new-1-x"}


def test_a_file_deep_in_a_workspace_shows_that_somebody_works_there(home: Settings) -> None:
    workspace = home.artefacts_dir / "train_model" / ".work-old"
    (workspace / "checkpoints").mkdir(parents=True)
    checkpoint = workspace / "checkpoints" / "epoch"
    checkpoint.write_text("weights")
    age(workspace, 30)
    os.utime(checkpoint)

    assert plan_prune(store(home), home).removals == ()


@pytest.mark.parametrize("how", ["locks it", "has worked in it", "made it anew"])
def test_a_workspace_that_an_attempt_took_up_after_it_was_listed_stays(
    home: Settings, how: str
) -> None:
    folder = home.artefacts_dir / "train_model"
    taken, left = folder / ".work-taken", folder / ".work-left"
    for workspace in (taken, left):
        workspace.mkdir(parents=True)
        (workspace / ".lock").touch()
        age(workspace, 30)
    plan = plan_prune(store(home), home)
    assert {removal.path for removal in plan.removals} == {taken, left}
    with (taken / ".lock").open("a") as lock:
        if how == "locks it":
            flock(lock, LOCK_EX)
        elif how == "has worked in it":
            (taken / "checkpoint").touch()
        else:
            shutil.rmtree(taken)
            taken.mkdir()

        assert carry_out(plan, store(home)) == 1
    assert (taken.exists(), left.exists()) == (True, False)


def test_a_lock_tells_when_the_first_attempt_at_a_training_began(tmp_path: Path) -> None:
    with one_attempt_at_a_time(tmp_path):
        age(tmp_path / ".lock", 2)
    began = (tmp_path / ".lock").stat().st_mtime
    with one_attempt_at_a_time(tmp_path):
        assert (tmp_path / ".lock").stat().st_mtime == began


# ---- who cannot tell removes nothing -------------------------------------------------------------


def test_a_record_that_was_edited_stops_it(home: Settings) -> None:
    make(home, "ingest_events")
    record = Ledger(home.releases_dir / "toy")
    with record.writing():
        record.add({"a": 1})
        record.add({"a": 2})
    first = home.releases_dir / "toy" / "000001.json"
    first.chmod(0o640)
    first.write_text(first.read_text().replace("1", "3"))

    with pytest.raises(ArtefactCorrupt):
        plan_prune(store(home), home)


@pytest.mark.parametrize("spoil", [lambda file: file.write_text("{"), Path.unlink])
def test_a_result_whose_manifest_cannot_be_read_stops_it(
    home: Settings, spoil: Callable[[Path], object]
) -> None:
    audit = make(home, "audit_model", [make(home, "train_model")])
    spoil(store(home).path(audit) / "manifest.json")

    with pytest.raises(ArtefactCorrupt):
        plan_prune(store(home), home)


@pytest.mark.parametrize("folder_of", [lambda at: at.artefacts_dir, lambda at: at.home])
def test_two_prunes_do_not_run_at_once(
    home: Settings, folder_of: Callable[[Settings], Path]
) -> None:
    make(home, "ingest_events")
    plan = plan_prune(store(home), home)
    with (folder_of(home) / ".prune.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        with pytest.raises(StoreLocked):
            carry_out(plan, store(home))
    assert len(kept(home)) == 1


# ---- what is said --------------------------------------------------------------------------------


def test_the_command_says_what_goes_and_removes_it_only_if_told(home: Settings) -> None:
    for number in range(3):
        make(home, "ingest_events", number=number)
    audit = make(home, "audit_model", number=1)

    said = CliRunner().invoke(app, ["prune"])
    assert said.exit_code == 0
    assert "1 artefacts stay; 3 folders go" in said.output
    assert "Nothing was removed" in said.output
    assert len(kept(home)) == 4

    assert "removed: 3 folders" in CliRunner().invoke(app, ["prune", "--yes"]).output
    assert kept(home) == {audit}


def test_a_file_that_another_artefact_shares_gives_nothing_back(home: Settings) -> None:
    part = make(home, "ingest_events", number=1)
    whole = make(home, "merge_events", number=2)
    shared = store(home).path(whole) / "shared.parquet"
    shared.write_bytes(b"x" * 1_000_000)
    os.link(shared, store(home).path(part) / "shared.parquet")
    age(store(home).path(part), 30)
    age(store(home).path(whole), 0)  # young: it stays

    assert plan_prune(store(home), home).size_bytes < 10_000
    age(store(home).path(whole), 30)
    assert 1_000_000 < plan_prune(store(home), home).size_bytes < 1_010_000


def test_with_a_study_only_what_it_alone_made_goes(home: Settings) -> None:
    own, shared, others = (make(home, "ingest_events", number=number) for number in range(3))
    last = {name: make(home, "ingest_events", number=9 + i) for i, name in enumerate("ab")}
    for key, study in ((own, "a"), (shared, "a"), (shared, "b"), (others, "b")):
        note_use(key, days_ago=20, study=study)
    for study, key in last.items():
        note_use(key, days_ago=15, study=study)

    plan = plan_prune(store(home), home, study="a")
    assert [removal.key for removal in plan.removals] == [own]


# ---- machines that share a store -----------------------------------------------------------------


def test_what_lies_in_the_shared_store_alone_counts_and_goes_too(
    home: Settings, tmp_path: Path
) -> None:
    shared = RemoteArtefacts(f"file://{tmp_path / 'shared'}")
    machines = [ArtefactStore(tmp_path / name, shared) for name in ("one", "two")]
    model = machines[0].make(Recipe("train_model", {}, {}, {}, {}, {}), write).key
    recipe = Recipe("audit_model", {}, {}, {}, {"model": model}, {})
    audit = machines[0].make(recipe, write).key
    unused = machines[0].make(Recipe("train_model", {}, {}, {"n": 1}, {}, {}), write).key
    age(tmp_path, 30)

    plan = plan_prune(machines[1], home)
    assert [removal.key for removal in plan.removals] == [unused]
    assert (plan.kept, plan.size_bytes) == (2, 0)
    assert plan.shared_bytes == 1000
    assert carry_out(plan, machines[1]) == 1
    assert not shared.keys("train_model")[1:]
    for key in (model, audit):
        machines[1].open(key)
    # The other machine's copy goes by the other machine's prune.
    assert machines[0].path(unused).exists()
    assert carry_out(plan_prune(machines[0], home), machines[0]) == 1
    assert not machines[0].path(unused).exists()


def test_with_a_shared_store_days_are_four_or_more_and_leftovers_are_planned(
    home: Settings, tmp_path: Path
) -> None:
    shared = RemoteArtefacts(f"file://{tmp_path / 'shared'}")
    machine = ArtefactStore(tmp_path / "one", shared)
    (tmp_path / "part").write_bytes(b"12345")
    names = [f"train_model/{name}/aa/weights" for name in ("killed", "young", "resumed")]
    for name, days_ago in zip(names, (30, 5, 30), strict=True):
        shared.files.put(name, tmp_path / "part")
        age(tmp_path / "shared" / name, days_ago)

    with pytest.raises(StudyInvalid, match="within 4 days"):
        plan_prune(machine, home, older_than_days=3.9)
    assert plan_prune(machine, home, study="toy").unfinished == {}
    plan = plan_prune(machine, home, older_than_days=7)
    assert plan.unfinished == {names[0]: 5, names[2]: 5}
    assert plan.shared_bytes == 10
    age(tmp_path / "shared" / names[2], 0)
    assert carry_out(plan, machine) == 0
    assert set(shared.files.sizes("train_model")) == {"young/aa/weights", "resumed/aa/weights"}


# ---- killed on the way ---------------------------------------------------------------------------

PRUNING = """
from pipelines.prune import carry_out, plan_prune
from pipelines.settings import settings
from pipelines.stage import store
plan = plan_prune(store(), settings())
print(len(plan.removals), flush=True)
carry_out(plan, store())
"""


@pytest.mark.faults
def test_a_prune_that_is_killed_leaves_whole_artefacts_and_is_finished_by_the_next(
    home: Settings,
) -> None:
    audit = make(home, "audit_model", [make(home, "train_model", number=-1)])
    lineage = kept(home)
    assert audit in lineage
    for attempt in range(2):
        for number in range(60):
            make(home, "ingest_events", number=1000 * attempt + number)
        with subprocess.Popen(
            [sys.executable, "-c", PRUNING], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(random.Random(attempt).uniform(0, 0.02))  # noqa: S311 - no secret
            child.send_signal(signal.SIGKILL)
        for key in kept(home):
            store(home).open(key)
        prune(home)
        assert kept(home) == lineage
        assert [path for path in home.artefacts_dir.glob("*/.*") if path.is_dir()] == []


def test_what_was_pruned_is_made_again_under_the_same_key_with_the_same_bytes(
    home: Settings,
) -> None:
    key = make(home, "ingest_events")
    content = store(home).content_sha256(key)
    assert prune(home) == {key}

    assert make(home, "ingest_events") == key
    assert store(home).content_sha256(key) == content


def test_a_store_that_was_never_used_has_nothing_to_prune(home: Settings) -> None:
    shutil.rmtree(home.home, ignore_errors=True)
    assert plan_prune(store(home), home).removals == ()
    assert json.dumps(carry_out(plan_prune(store(home), home), store(home))) == "0"
