"""The environment Airflow runs in here: set before its first import, which reads it once."""

import os
from collections.abc import Mapping
from pathlib import Path

from pipelines.settings import settings

DAGS_FOLDER = Path(__file__).parent

QUIET_DEPENDENCIES = {
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


def airflow_environment(database: Path) -> dict[str, str]:
    """The variables of an Airflow on this machine with its metadata in an SQLite file.

    Both folders of ours are given as absolute paths: a task's working folder is not ours.
    """
    here = settings()
    return QUIET_DEPENDENCIES | {
        "EQUIPOISE_HOME": str(here.home),
        "EQUIPOISE_STUDIES": str(here.studies_dir),
        "AIRFLOW_HOME": str(here.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS_FOLDER),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(here.airflow_home / "logs"),
    }


def enter(environment: Mapping[str, str]) -> None:
    """Make ``environment`` this process's own; to be called before airflow is imported."""
    settings().airflow_home.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment)
