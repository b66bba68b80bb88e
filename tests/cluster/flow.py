"""One study's flow in the cluster: started through the API, watched in the metadata database."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.cluster.small_study import NEW_YEAR, small_study
from tests.cluster.topology import Cluster
from tests.dags.installations import python

ENDED = {"success", "failed"}
# Long enough to be killed in the midst of.
EPOCHS = 80
# Until a study that was written down is released and known to Airflow, on such a machine.
KNOWN_SECONDS = 240.0
# What a run needs without a fault, on a machine that does much else.
CALM_SECONDS = 420.0
Row = tuple[object, ...]


class TooLong(AssertionError):
    """What was waited for did not come within its bound."""


@dataclass(frozen=True)
class Flow:
    """Training, and the scoring that its release starts; or scoring alone, of a study released.

    is_scheduled: the scoring is begun by its own cron expression, soon after the start.
    """

    cluster: Cluster
    study: str
    is_released: bool = False
    is_scheduled: bool = False

    @property
    def train(self) -> str:
        return f"train__{self.study}"

    @property
    def score(self) -> str:
        return f"score__{self.study}"

    def tasks(self) -> list[tuple[str, str, str, str, int]]:
        """(dag, task, state, host, try) of all that was ever made for the study."""
        return [
            (str(dag), str(task), str(state), str(host), int(str(number)))
            for dag, task, state, host, number in self.cluster.sql(
                "SELECT dag_id, task_id, coalesce(state, 'none'), coalesce(hostname, ''), "  # noqa: S608 - own names
                f"try_number FROM task_instance WHERE dag_id IN ('{self.train}', '{self.score}')"
            )
        ]

    def runs(self) -> list[tuple[str, str]]:
        """(dag, state) of every run."""
        found = self.cluster.sql(
            f"SELECT dag_id, state FROM dag_run WHERE dag_id IN ('{self.train}', '{self.score}')"  # noqa: S608
        )
        return [(str(dag), str(state)) for dag, state in found]

    def state(self, flow: str, task: str) -> str:
        known = [state for dag, name, state, *_ in self.tasks() if (dag, name) == (flow, task)]
        return known[-1] if known else "none"

    def host(self, task: str) -> str:
        """Where a task of training runs or ran last."""
        [host] = [host for _, name, _, host, _ in self.tasks() if name == task]
        return host

    def tries(self) -> dict[str, int]:
        """Of tasks that were begun more than once, how often."""
        return {task: number for _, task, _, _, number in self.tasks() if number > 1}

    def log_of_failures(self) -> str:
        """What the tasks that failed wrote, in all their attempts."""
        folder = self.cluster.home / "airflow" / "logs"
        failed = {(dag, task) for dag, task, state, *_ in self.tasks() if state == "failed"}
        return "".join(
            file.read_text(errors="replace")
            for dag, task in failed
            for file in folder.glob(f"dag_id={dag}/**/task_id={task}/**/attempt=*.log")
        )

    def has_ended(self, scorings: int = 1) -> bool:
        """Training has ended, and so have so many scorings if it released."""
        runs = self.runs()
        trained = [state for dag, state in runs if dag == self.train]
        scored = [state for dag, state in runs if dag == self.score]
        if not {*trained, *scored} <= ENDED:
            return False
        released = self.is_released or "success" in trained
        return len(scored) >= scorings if released else bool(trained)

    def start(self) -> None:
        """Make it the cluster's only study, as every task reads all of them; start its flow."""
        folder = Path(self.cluster.env["EQUIPOISE_STUDIES"])
        for other in folder.glob("*.yaml"):
            other.unlink()
        (folder / f"{self.study}.yaml").write_text(
            small_study(EPOCHS, self._soon() if self.is_scheduled else NEW_YEAR)
        )
        if self.is_released:
            words = ("-m", "tests.cluster.released", self.study)
            code, _, errors = python(*words, env=self.cluster.env, timeout_s=CALM_SECONDS)
            assert code == 0, errors
        wait_until(self.is_known, 120)
        if not self.is_scheduled:
            self.cluster.airflow.start(self.score if self.is_released else self.train)

    def _soon(self) -> str:
        """Once a year, for the first time when the study has surely been released and read."""
        return f"{datetime.now(UTC) + timedelta(seconds=KNOWN_SECONDS):%-M %-H %-d %-m} *"

    def scheduled_at(self) -> datetime:
        """The moment that the scheduled scoring is for; there is one such run."""
        query = "SELECT logical_date FROM dag_run WHERE run_type = 'scheduled' AND dag_id ="
        [(moment,)] = self.cluster.sql(f"{query} '{self.score}'")
        assert isinstance(moment, datetime)
        return moment

    def wait_for_task(self, flow: str, task: str) -> None:
        """Wait until a task runs, or is about to; one that got past it is an error of the trial."""
        begun = {"running"} if flow == self.train else {"queued", "running"}
        wait_until(lambda: self.state(flow, task) in {*begun, *ENDED}, CALM_SECONDS)
        assert self.state(flow, task) in begun, f"{task} is past running"

    def is_known(self) -> bool:
        """Whether both flows have been read from the study's file."""
        known = "SELECT dag_id FROM dag WHERE dag_id IN"
        found = self.cluster.sql(f"{known} ('{self.train}', '{self.score}')")
        return len(found) == 2


def wait_until(what: Callable[[], bool], seconds: float) -> float:
    """Seconds that it took.

    Raises:
        TooLong: it was not so within that time. A server that is away is waited for.
    """
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if what():
                return time.monotonic() - began
        except (psycopg.OperationalError, OSError):
            pass
        time.sleep(0.5)
    raise TooLong(f"not within {seconds:.0f} s")
