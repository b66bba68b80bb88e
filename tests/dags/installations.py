"""Small installations: a folder of studies and a home, and the environment that points there."""

import os
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import yaml

from tests.security.watching import running_processes

ROOT = Path(__file__).parents[2]
TOY_STAGES = Path(__file__).parent / "toy_stages"
MODEL_STUDY = ROOT / "studies" / "nafld_diabetes.yaml"
MARKET_STUDY = ROOT / "studies" / "sp500_direction.yaml"
AFTER_XNYS = {"score_after_close": {"exchange": "XNYS", "minutes": 30}}


def study_text(**sections: Any) -> str:
    """The demo's study with some sections changed; None removes one."""
    study = yaml.safe_load(MODEL_STUDY.read_text().replace(" on:", ' "on":'))
    changed = {name: value for name, value in (study | sections).items() if value is not None}
    return yaml.safe_dump(changed, sort_keys=False)


def market_text(schedule: dict[str, Any]) -> str:
    """The demo's study of directions with another schedule."""
    study = yaml.safe_load(MARKET_STUDY.read_text().replace(" on:", ' "on":'))
    return yaml.safe_dump(study | {"schedule": schedule}, sort_keys=False)


def write_studies(folder: Path, **studies: str) -> Path:
    """A folder of studies, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in studies.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def environment(home: Path, studies: Path, *, toy: bool = True) -> dict[str, str]:
    """The variables of a child process that works in this installation.

    Args:
        toy: put stages that do nothing in the place of the real ones; they write ``calls``.
    """
    clean = {name: text for name, text in os.environ.items() if not name.startswith("AIRFLOW")}
    for name in ("EQUIPOISE_RUN", "EQUIPOISE_ALERT_WEBHOOK", "EQUIPOISE_ALERT_MAIL_TO"):
        clean.pop(name, None)
    path = [str(ROOT), *([str(TOY_STAGES)] if toy else [])]
    return clean | {
        "EQUIPOISE_HOME": str(home),
        "EQUIPOISE_STUDIES": str(studies),
        "AIRFLOW_HOME": str(home / "airflow"),
        "PYTHONPATH": os.pathsep.join(path),
        "TOY_CALLS": str(home.parent / "calls"),
    }


def python(*arguments: str, env: dict[str, str], timeout_s: float = 300) -> tuple[int, str, str]:
    """Run this Python with arguments; exit code, output, errors."""
    done = run(
        [sys.executable, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=ROOT,
    )
    return done.returncode, done.stdout, done.stderr


def calls(home: Path) -> list[str]:
    """The toy stages that were called, in order, each with its arguments as JSON."""
    file = home.parent / "calls"
    return file.read_text().splitlines() if file.exists() else []


def processes_of(home: Path) -> list[str]:
    """The command lines of all processes whose environment names this installation."""
    lines = (line for _, line, _ in running_processes(home))
    return [line.decode(errors="replace").replace("\0", " ") for line in lines]


def quick_study() -> str:
    """The demo's records and rules with a network that trains in seconds and a gate ajar.

    It has no times of its own: what a test starts is all that runs, at any hour.
    """
    demo = yaml.safe_load(MODEL_STUDY.read_text().replace(" on:", ' "on":'))
    audit, split = demo["audit"], demo["split"] | {"cross_fit_folds": 0}
    measured = {"metric": "auroc", "on": "holdout", "group": "overall"}
    ajar = {
        "bootstrap_draws": 100,
        "gating": [
            {"line": "Ranks at all", **measured, "at_least": 0.1},
            {"line": "Beside others", **measured, "against": "best_challenger", "at_least": -0.9},
        ],
        "predictions": audit["predictions"]
        | {"max_score_shift_psi": 100.0, "max_selection_rate_change": 1.0},
    }
    model = {"hidden_size": 16, "seeds": [0], "max_epochs": 8}
    return study_text(split=split, model=model, audit=audit | ajar, tuning=None, schedule=None)
