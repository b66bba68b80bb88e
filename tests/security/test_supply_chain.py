"""What is installed is listed, locked and audited; what CI runs is pinned and may do little."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dags.installations import ROOT
from tests.security.dependency_audit import exit_code, judged, pins

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Keys and tokens of well-known shapes, and URLs with a password.
SECRET_SHAPES = re.compile(
    r"AKIA[0-9A-Z]{16}|ghp_[0-9A-Za-z]{36}|xox[abp]-[0-9A-Za-z-]{10,}|sk-[0-9A-Za-z]{32,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\."
)


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return {package["name"]: package["version"] for package in lock["package"]}


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The bill of materials, made by the command of ``make sbom``."""
    uv = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is not on this machine")
    file = tmp_path_factory.mktemp("bill") / "sbom.json"
    command = [uv, "export", "--locked", "--format", "cyclonedx1.5", "--no-emit-project"]
    subprocess.run([*command, "-q", "-o", str(file)], check=True, cwd=ROOT, capture_output=True)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_the_bill_lists_every_locked_package_with_its_version(
    bill: dict[str, Any], locked: dict[str, str]
) -> None:
    listed = {part["name"]: part["version"] for part in bill["components"]}

    assert bill["bomFormat"] == "CycloneDX"
    assert listed["torch"] == locked["torch"]
    assert listed["apache-airflow"] == locked["apache-airflow"]
    assert len(listed) > 250
    assert {name: locked.get(name) for name in listed} == listed


def test_the_bill_names_no_path_and_no_host_of_this_machine(bill: dict[str, Any]) -> None:
    text = json.dumps(bill)

    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text
    assert set(re.findall(r"https?://([^/\"]+)", text)) <= {"files.pythonhosted.org"}


def test_every_locked_package_comes_with_its_hash() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    files = [
        file
        for package in lock["package"]
        for file in [
            *package.get("wheels", []),
            *([package["sdist"]] if "sdist" in package else []),
        ]
    ]

    assert len(files) > 250
    assert all(file["hash"].startswith("sha256:") for file in files)


def test_the_workflows_have_no_finding() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "zizmor", "--offline", "--pedantic", *WORKFLOWS],
        check=False,
        capture_output=True,
        text=True,
    )

    assert WORKFLOWS
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_pins_what_it_uses_and_gets_no_right_but_reading(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]

    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use) for use in used), used
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())
    fetching = [step for step in steps if "checkout" in step.get("uses", "")]
    assert fetching
    assert all(step["with"]["persist-credentials"] is False for step in fetching)


def test_a_known_fault_is_told_with_its_remedy_and_an_unknown_package_is_counted() -> None:
    fault = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": [], "description": "bad"}
    found = {
        "dependencies": [
            {"name": "sound", "version": "1.0", "vulns": []},
            {"name": "broken", "version": "1.0", "vulns": [fault]},
            {"name": "elsewhere", "skip_reason": "Dependency not found"},
        ]
    }

    assert judged(found) == (["elsewhere"], ["broken 1.0: PYSEC-1, mended in 2.0"])


@pytest.mark.parametrize(
    ("unknown", "faults", "code"), [([], [], 0), (["a"], [], 1), ([], ["b"], 1), (["a"], ["b"], 1)]
)
def test_what_was_not_audited_though_the_service_answers_fails(
    unknown: list[str], faults: list[str], code: int
) -> None:
    assert exit_code(unknown, faults) == code


def test_pins_are_read_from_an_export_with_markers_and_hashes() -> None:
    text = "# made by uv\na-b==1.0 ; python_version < '4' \\\n    --hash=sha256:00\nC.d==2.0+cpu\n"

    assert pins(text) == ["a-b==1.0", "C.d==2.0+cpu"]


def test_no_file_of_the_repository_holds_a_secret_of_a_known_shape() -> None:
    names = subprocess.run(
        [str(shutil.which("git")), "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = [ROOT / name for name in names.stdout.splitlines()]
    texts = {file: file.read_bytes().decode("latin-1") for file in files if file.is_file()}
    holding = {file.name for file, text in texts.items() if SECRET_SHAPES.search(text)}

    assert len(texts) > 500
    assert holding <= {Path(__file__).name}


def test_the_shapes_of_secrets_are_known_again() -> None:
    planted = "AKIA" + "A" * 16, "-----BEGIN " + "PRIVATE KEY-----", "ghp_" + "a" * 36

    assert all(SECRET_SHAPES.search(text) for text in planted)
