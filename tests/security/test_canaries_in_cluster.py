"""The planted identifiers and the cluster's own secrets, looked for in all of a cluster.

What a cluster has besides what test_canaries.py searches: a broker's file, a table of results, the
metadata of a database server, the logs of services, and environments handed from service to task.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from subprocess import run
from urllib.parse import urlsplit

import pytest

from tests.cluster.flow import CALM_SECONDS, Flow, wait_until
from tests.cluster.topology import Cluster, cluster
from tests.security.canaries import (
    KEY,
    WHERE_PATIENTS_ARE,
    WHERE_SECRETS_ARE,
    forms_of_key,
    identifiers,
    write_key,
)
from tests.security.searching import Search, files_of_a_server
from tests.security.ward import STUDY, study_text, write_ward
from tests.security.watching import running_processes

pytestmark = [pytest.mark.faults, pytest.mark.slow]

WHERE_THE_BROKER_HAS_ITS_PASSWORD = ("valkey.conf",)
POLL_SECONDS = 0.5


@dataclass
class Searched:
    """A cluster that has trained and scored the ward's study, and what its processes showed."""

    cluster: Cluster
    shown: dict[str, bytes] = field(default_factory=dict)

    def texts(self) -> dict[str, bytes]:
        """Besides the home: what processes showed, the server's files and all that it dumps."""
        server = self.cluster.postgres
        files = files_of_a_server(server.folder)
        words = [str(server.binaries / "pg_dumpall"), "--no-role-passwords", "-d", server.url]
        dump = run(words, check=True, capture_output=True).stdout
        for of in (
            b"COPY public.task_instance ",
            b"COPY public.celery_taskmeta ",
            b"COPY equipoise.",
        ):
            assert of in dump
        return self.shown | files | {"dump": dump}

    def secrets(self) -> set[str]:
        """Every password, key and token that the cluster was given or has made."""
        folder, made = self.cluster.home.parent / "secrets", self.cluster.home / "secrets"
        given = {file.name: file.read_text() for file in folder.iterdir()}
        passwords = (urlsplit(text).password for text in given.values() if "://" in text)
        keys = {text for text in given.values() if "://" not in text}
        users = json.loads((made / "airflow_passwords.json").read_text()).values()
        return {*filter(None, passwords), *keys, *users, *self.cluster.airflow.tokens.values()}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    folder = tmp_path_factory.mktemp("canaries")
    write_key(folder / "home" / "secrets")
    with cluster(folder) as made:
        write_ward(folder / "data" / "ward")
        (folder / "studies" / f"{STUDY}.yaml").write_text(study_text())
        flow, found = Flow(made, STUDY), Searched(made)
        wait_until(flow.is_known, CALM_SECONDS)
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(found, done))
        watcher.start()
        try:
            made.airflow.start(flow.train)
            wait_until(flow.has_ended, CALM_SECONDS)
        finally:
            done.set()
            watcher.join()
        assert {state for _, state in flow.runs()} == {"success"}
        yield found


def _watch(found: Searched, done: threading.Event) -> None:
    while not done.wait(POLL_SECONDS):
        for process, line, surroundings in running_processes(found.cluster.home):
            found.shown[f"command {line!r}"] = line
            found.shown[f"environment of {process}"] = surroundings


def leaks(searched: Searched, search: Search, but: tuple[str, ...]) -> dict[str, set[str]]:
    """Everything that the cluster wrote or showed, but for the patterns."""
    home = searched.cluster.home
    return (
        search.in_folder(home, but=but)
        | search.in_folder(home.parent / "studies")
        | search.in_folder(home.parent / "broker", but=WHERE_THE_BROKER_HAS_ITS_PASSWORD)
        | search.in_texts(searched.texts())
    )


def test_what_is_planted_was_read_and_the_broker_kept_what_it_was_sent(searched: Searched) -> None:
    patients, home = Search(chain(*identifiers().values())), searched.cluster.home
    kept = patients.in_folder(home / "artefacts" / "ingest_events")
    assert len(set().union(*kept.values())) > 500

    names = Search(["execute_workload", "train__planted", "_kombu.binding.gpu"])
    sent = names.in_folder(home.parent / "broker")
    assert len(set().union(*sent.values())) == 3
    assert any("models.training" in name for name in searched.shown)


def test_no_identifier_is_in_a_cluster_outside_of_the_stores_for_it(searched: Searched) -> None:
    patients = Search(chain(*identifiers().values()))
    assert leaks(searched, patients, WHERE_PATIENTS_ARE) == {}
    assert patients.files_read > 100


def test_no_secret_is_in_a_cluster_outside_of_the_folders_for_it(searched: Searched) -> None:
    secrets = searched.secrets()
    assert len(secrets) >= 10
    assert leaks(searched, Search([*secrets, *forms_of_key(KEY)]), WHERE_SECRETS_ARE) == {}
