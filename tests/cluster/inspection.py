"""What must hold after every fault: the published table, and nothing left half done or locked."""

import fcntl
import time
from dataclasses import dataclass
from pathlib import Path

from pipelines.artefacts import ArtefactStore
from tests.cluster.flow import Row, TooLong, wait_until
from tests.cluster.topology import Cluster

DAY_SECONDS = 24 * 3600


# Each trial is a study of its own name, so its audits, its release and their hashes are others; a
# generation has its own id and moment. Every other column of the view is compared.
LEFT_OUT = frozenset(
    {"study", "model_sha256", "model_audit_id", "model_evidence_sha256", "release_id", "audit_id"}
    | {"evidence_sha256", "scores_key", "generation_id", "published_at"}
)


@dataclass(frozen=True)
class Calm:
    """What a run without a fault came to: the rows that a reader sees, and the network's files.

    ``seconds`` are those of the whole flow, of which nothing was there.
    """

    rows: list[Row]
    model: dict[str, str]
    seconds: float


def published(cluster: Cluster, study: str) -> list[Row]:
    """The rows that a reader sees of a study now."""
    query = f"SELECT {_columns(cluster)} FROM equipoise.predictions_current WHERE study = '{study}'"  # noqa: S608
    return sorted(cluster.sql(query, "equipoise"), key=repr)


def violations(cluster: Cluster, study: str, calm: Calm, *, ends_well: bool) -> list[str]:
    """All that does not hold, in words; empty is what is wanted.

    Args:
        calm: a run without a fault.
        ends_well: the flow succeeded, so its table must stand; else none may.
    """
    rows = published(cluster, study)
    found = []
    if ends_well and model_of(cluster) != calm.model:
        found.append("the model is not the one of a run without a fault")
    if rows != (calm.rows if ends_well else []):
        found.append(f"the table has {len(rows)} rows and not those of a run without a fault")
    found += _half_published(cluster, study)
    found += [f"temporary file {file.name}" for file in _old_temporary_files(cluster.home)]
    found += [f"lock {file.name} is held" for file in _held_files(cluster.home)]
    found += [f"{name} is held" for name in _held_in_databases(cluster)]
    return found


def model_of(cluster: Cluster) -> dict[str, str]:
    """File -> sha256 of the trained network; there is one model at a time."""
    store = ArtefactStore(cluster.home / "artefacts")
    [made] = [path for path in (store.root / "train_model").glob("[0-9a-f]*") if path.is_dir()]
    return weights(store, f"train_model/{made.name}")


def weights(store: ArtefactStore, key: str) -> dict[str, str]:
    """File -> sha256 of a network and its challengers; not of the logs, which tell the time."""
    files = store.manifest(key)["files"]
    model = {
        name: str(file["sha256"]) for name, file in files.items() if not name.endswith("_log.json")
    }
    assert {Path(name).suffix for name in model} >= {".json", ".safetensors", ".skops"}
    return model


def _columns(cluster: Cluster) -> str:
    columns = cluster.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'equipoise' "
        "AND table_name = 'predictions_current' ORDER BY ordinal_position",
        "equipoise",
    )
    return ", ".join(str(name) for (name,) in columns if name not in LEFT_OUT)


def _half_published(cluster: Cluster, study: str) -> list[str]:
    """Each generation has as many rows as it says."""
    wrong = cluster.sql(
        "SELECT p.generation_id, p.row_count, count(r.subject_id) FROM equipoise.publications p "  # noqa: S608
        "LEFT JOIN equipoise.predictions r USING (generation_id) "
        f"WHERE p.study = '{study}' GROUP BY 1, 2 HAVING p.row_count <> count(r.subject_id)",
        "equipoise",
    )
    return [f"a generation of {said} rows holds {held}" for _, said, held in wrong]


def temporary_files(home: Path) -> list[Path]:
    """Drafts of artefacts and of other files that a killed process left."""
    return [*home.rglob(".draft-*"), *home.rglob(".unshared-*"), *home.rglob(".*.draft")]


def _old_temporary_files(home: Path) -> list[Path]:
    now = time.time()
    return [file for file in temporary_files(home) if now - file.stat().st_mtime > DAY_SECONDS]


def _held_files(home: Path) -> list[Path]:
    """Lock files that somebody still holds, though no flow runs."""
    return [file for file in home.rglob("*.lock") if file.is_file() and _is_held(file)]


def _is_held(file: Path) -> bool:
    with file.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _held_in_databases(cluster: Cluster) -> list[str]:
    """Advisory locks and open transactions; Airflow's own come and go, so they get some time."""
    held = (
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND (a.usename = 'pipeline' OR l.granted IS FALSE)"
    )
    open_ones = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE usename = 'pipeline' AND state LIKE 'idle in transaction%'"
    )
    found = []
    for name, query in {"an advisory lock": held, "a transaction": open_ones}.items():
        try:
            wait_until(lambda query=query: cluster.sql(query) == [(0,)], 15)  # type: ignore[misc]
        except TooLong:
            found.append(name)
    return found
