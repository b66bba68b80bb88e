"""The command: light, plain, and an exit code for each error."""

import json
import os
import pty
import sys
from pathlib import Path
from subprocess import run

import duckdb
import polars as pl
import pytest

from pipelines.approvals.record import ApprovalRecord
from pipelines.artefacts import Counts, Recipe
from pipelines.console import print_table
from pipelines.errors import NoRelease
from pipelines.journal import JournalEntry, append_entry
from pipelines.publication.crosswalk import write_crosswalk
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.releases import Release, current_release, list_releases, record_release
from pipelines.settings import settings
from pipelines.stage import store
from tests.dags.installations import environment, python, study_text, write_studies
from tests.pipelines.publication_examples import STUDY, publish_number

HEAVY = {
    *("torch", "polars", "pandas", "numpy", "duckdb", "sklearn", "airflow"),
    *("great_expectations", "fairlearn", "matplotlib", "pydantic"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one sound and one broken study, for this process and its children."""
    studies = write_studies(tmp_path / "studies", demo=study_text(), broken="title: [")
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(studies))
    monkeypatch.delenv("EQUIPOISE_RUN", raising=False)
    return tmp_path / "home"


def equipoise(home: Path, *arguments: str, **further: str) -> tuple[int, str, str]:
    env = environment(home, home.parent / "studies") | further
    return python("-m", "tests.pipelines.equipoise", *arguments, env=env)


def entry(stage: str, key: str, **counts: int) -> JournalEntry:
    return JournalEntry("demo", stage, key, made=True, seconds=1.0, counts=counts, flow="train")


def audited(**files: str) -> Path:
    """The artefact of an audit with these files in it, in the journal too."""

    def write(draft: Path) -> Counts:
        for name, text in files.items():
            (draft / name.replace("_", ".")).write_text(text)
        return {}

    recipe = Recipe("audit_model", {}, {}, {"files": files}, {}, {})
    artefact = store().make(recipe, write)
    append_entry(entry("audit_model", artefact.key))
    return artefact.path


def release() -> Release:
    return Release.of(
        study="demo",
        model_key="train_model/aaaaaaaaaaaaaaaa",
        model_sha256="a" * 64,
        audit_key="audit_model/bbbbbbbbbbbbbbbb",
        audit_sha256="b" * 64,
        verdict="pass",
        events_key="ingest_events/cccccccccccccccc",
        sequences_key="build_sequences/dddddddddddddddd",
        threshold=0.1,
        records_sha256="c" * 64,
        policy_sha256="d" * 64,
        approval=ApprovalRecord.by_gate(
            study="demo",
            audit_key="audit_model/bbbbbbbbbbbbbbbb",
            evidence_sha256="b" * 64,
            model_sha256="a" * 64,
            data_sha256="e" * 64,
            policy_sha256="d" * 64,
        ),
    )


def test_help_imports_nothing_heavy_and_takes_less_than_a_second() -> None:
    script = (
        "import sys, time\n"
        "from contextlib import suppress\n"
        "sys.argv = ['equipoise', '--help']\n"
        "from pipelines.cli import main\n"
        "with suppress(SystemExit):\n"
        "    main()\n"
        "packages = {module.split('.')[0] for module in sys.modules}\n"
        "print(time.process_time(), *sorted(packages), file=sys.stderr)\n"
    )
    done = run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, *packages = done.stderr.splitlines()[-1].split()
    assert set(packages) & HEAVY == set()
    assert "pipelines" in packages
    assert float(seconds) < 1.0
    commands = "run show explain why report approve reject approvals withdraw reinstate studies"
    for command in [*commands.split(), "erase", "verify", "database"]:
        assert f" {command} " in done.stdout


@pytest.mark.parametrize("command", ["run", "show", "explain", "report"])
def test_an_unknown_study_is_answered_with_those_there_are(home: Path, command: str) -> None:
    code, output, errors = equipoise(home, command, "nobody")
    assert (code, output) == (10, "")
    assert "There is no study named nobody." in errors
    assert "broken, demo" in errors
    assert "Traceback" not in errors


def test_a_broken_study_does_not_run_and_every_line_of_it_is_named(home: Path) -> None:
    code, _, errors = equipoise(home, "run", "broken")
    assert code == 10
    assert "not readable as YAML" in errors


def test_studies_are_listed_with_the_broken_one_marked(home: Path) -> None:
    code, output, _ = equipoise(home, "studies")
    broken, demo = output.splitlines()[1:]
    assert code == 0
    assert broken.startswith("broken")
    assert "cannot be read" in broken
    assert demo.startswith("demo")
    assert demo.endswith("none")


def test_a_run_ends_with_the_code_of_its_failure_after_the_table_of_its_stages(
    home: Path,
) -> None:
    code, output, errors = equipoise(
        home, "run", "demo", TOY_FAILURE="merge_sequences LeakageFound"
    )
    assert code == 21
    assert "merge_sequences failed: cause" in errors
    table = output.split("\n\n")[1].splitlines()
    assert [line.split() for line in table] == [
        ["flow", "stage", "rows", "in", "accepted", "quarantined", "seconds", "counts"],
        ["train", "ingest_events", "1,200", "1,190", "10", "0.2", "made"],
        ["train", "merge_events", "1,200", "1,190", "10", "0.2", "made"],
        ["train", "check_events", "1,200", "1,190", "10", "0.2", "made"],
        ["train", "build_sequences", "1,200", "1,190", "10", "0.2", "made"],
    ]


def test_show_tells_of_a_study_that_never_ran(home: Path) -> None:
    code, output, _ = equipoise(home, "show", "demo")
    assert code == 0
    assert "demo: no release" in output
    assert "nothing published" in output


def test_show_for_programs_is_json_with_releases_and_rows(home: Path) -> None:
    record_release("demo", release())
    append_entry(entry("merge_events", "merge_events/cccccccccccccccc", rows_in=12, accepted=11))
    code, output, errors = equipoise(home, "show", "demo", "--json")
    assert code == 0, errors
    shown = json.loads(output)
    assert shown["rows"] == {"rows_in": 12, "accepted": 11}
    assert [listed["state"] for listed in shown["releases"]] == ["current"]
    assert shown["generations"] == []


def test_withdrawing_leaves_nothing_standing_and_is_recorded_with_reason_and_name(
    home: Path,
) -> None:
    name = record_release("demo", release()).release_id
    code, output, errors = equipoise(
        home, "withdraw", "demo", "--reason", "a wrong unit", "--as", "Ana"
    )
    assert code == 0, errors
    assert output == f"withdrawn: release {name}\n"
    with pytest.raises(NoRelease):
        current_release("demo")
    assert [(listed.reason, listed.by) for listed in list_releases("demo")] == [
        ("a wrong unit", "Ana")
    ]


def test_a_person_brings_a_withdrawn_release_back_and_no_other_name_does(home: Path) -> None:
    name = record_release("demo", release()).release_id
    words = ("--reason", "a wrong unit", "--as", "Ana")
    assert equipoise(home, "withdraw", "demo", *words)[0] == 0
    assert equipoise(home, "reinstate", "demo", "0" * 16, *words)[0] == 24
    code, output, errors = equipoise(home, "reinstate", "demo", name, *words)
    assert (code, output) == (0, f"reinstated: release {name}\n"), errors
    assert current_release("demo").release_id == name


def test_there_is_nothing_to_withdraw_from_a_study_without_a_release(home: Path) -> None:
    code, _, errors = equipoise(home, "withdraw", "demo", "--reason", "a wrong unit", "--as", "Ana")
    assert code == 24
    assert "demo has no release" in errors


def test_the_newest_report_is_named_and_its_absence_is_an_error_of_its_own(home: Path) -> None:
    assert equipoise(home, "report", "demo", "--no-open")[0] == 11
    for number in (1, 2):
        folder = audited(report_html=f"<html>{number}</html>")
    code, output, _ = equipoise(home, "report", "demo", "--no-open")
    assert code == 0
    assert output == f"{folder / 'report.html'}\n"


def test_the_report_is_printed_as_pdf_or_named_for_programs(home: Path) -> None:
    page = "<html><title>A report</title><p>Words</p></html>"
    audited(report_html=page)
    assert equipoise(home, "report", "demo", "--json")[0] == 11
    folder = audited(report_html=page, report_json="{}")
    assert equipoise(home, "report", "demo", "--json")[1] == f"{folder / 'report.json'}\n"

    code, output, errors = equipoise(home, "report", "demo", "--pdf", "--no-open")
    assert code == 0, errors
    printed = Path(output.strip())
    assert printed.read_bytes().startswith(b"%PDF")
    assert printed.stat().st_mode & 0o077 == 0
    assert printed.parent != folder


def test_without_what_prints_a_report_the_command_says_what_to_install(
    home: Path, tmp_path: Path
) -> None:
    audited(report_html="<html></html>")
    broken = tmp_path / "without"
    broken.mkdir()
    (broken / "weasyprint.py").write_text("raise ImportError")
    paths = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    code, output, errors = equipoise(home, "report", "demo", "--pdf", "--no-open", PYTHONPATH=paths)
    assert (code, output) == (34, "")
    assert "pip install 'equipoise[pdf]'" in errors


def test_a_person_is_erased_by_an_id_that_no_output_repeats(home: Path, tmp_path: Path) -> None:
    publish_number(settings(), 1)
    pairs = pl.DataFrame({"subject_id": [1, 2], "source_id": ["mrn-1", "mrn-2"]})
    write_crosswalk(STUDY, pairs, settings())
    words = ["erase", STUDY, "-", "--as", "Ada", "--ground", "Art. 17 GDPR"]
    command = [sys.executable, "-m", "tests.pipelines.equipoise", *words]
    env = environment(home, home.parent / "studies")
    first, second = (
        run(command, env=env, input="mrn-2\n", capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert (first.returncode, first.stdout) == (0, f"erased: 1 rows of {STUDY}\n")
    assert second.returncode == 11
    assert "mrn-2" not in first.stdout + first.stderr + second.stdout + second.stderr
    assert open_store(settings()).read_current(STUDY)["subject_id"].sort().to_list() == [1, 3, 4]
    assert equipoise(home, "verify")[0] == 0


def test_verifying_finds_what_was_changed_past_the_store(home: Path) -> None:
    assert equipoise(home, "verify")[0] == 0
    publish_number(settings(), 1)
    assert equipoise(home, "verify")[0] == 0
    with duckdb.connect(PublicationFolders(settings().publication_dir).writer) as writer:
        writer.execute("DELETE FROM predictions WHERE subject_id = 1")
    code, output, errors = equipoise(home, "verify")
    assert (code, output) == (30, "")
    assert "its predictions are not those that were published" in errors


def test_a_database_is_set_up_where_one_is_named(home: Path) -> None:
    code, output, errors = equipoise(home, "database", "setup", EQUIPOISE_DATABASE_URL="")
    assert (code, output) == (33, "")
    assert "No PostgreSQL is named." in errors


def test_a_terminal_is_shown_a_drawn_table(home: Path) -> None:
    screen, keyboard = pty.openpty()
    env = environment(home, home.parent / "studies") | {"TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-m", "tests.pipelines.equipoise", "studies"]
    run(command, env=env, stdout=keyboard, check=True)
    os.close(keyboard)
    shown = os.read(screen, 10_000).decode()
    os.close(screen)
    assert "─" in shown
    assert "cannot be read" in shown


def test_a_table_that_no_terminal_shows_is_plain_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("stage", "seconds"), [("ingest_events", "12.5"), ("check_events", "3.0")])
    assert capsys.readouterr().out.splitlines() == [
        "stage          seconds",
        "ingest_events     12.5",
        "check_events       3.0",
    ]
