"""Prune: what rests on a result stays, the rest goes; nothing goes by halves."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.artefacts import ArtefactStore, Recipe
from pipelines.cli import app
from pipelines.errors import ArtefactCorrupt, StoreLocked, StudyInvalid
from pipelines.ledger import Ledger
from pipelines.needed_artefacts import MADE_AGAIN
from pipelines.prune import carry_out, plan_prune
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.settings import Settings
from tests.pipelines.prune_examples import age, kept, make, note_use, prune, store, write

STEPS = sorted(MADE_AGAIN)
RESULTS = ["audit_model", "audit_predictions", "compare_models", "run_trial", "a_stage_of_tomorrow"]


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
