"""``python -m tests.compose.run [--prod] [--quick]``: the cluster for real, from image to table.

Builds the image, starts the stack, trains and scores nafld_diabetes (``--quick``: its records with
a small network and a gate ajar) through the API, reads the published table as an analyst, looks
at what the containers may and show, backs it up, loses it, restores it, and takes it all down.
Where no Docker daemon runs, root starts one of its own; where no registry is reachable, base
images are made here (tests/compose/stand_ins.py).

``EQUIPOISE_BASE_IMAGE``, ``…_POSTGRES_IMAGE`` and ``…_BROKER_IMAGE`` name images to be used, and
``EQUIPOISE_COMPOSE_TEST_FOLDER`` where the daemon of our own keeps its images from run to run.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.compose.certificates import write_certificates
from tests.compose.docker import Failed, daemon, docker
from tests.compose.looks import (
    back_up,
    look_at_containers,
    look_at_image,
    look_at_plaintext,
    look_at_versions,
    look_for_secrets,
    look_for_the_store,
    restore,
)
from tests.compose.stack import BY_HAND, OURS, Stack
from tests.compose.stand_ins import stand_ins
from tests.compose.train_and_score import read_as_analyst, train_and_score
from tests.dags.installations import quick_study, write_studies
from tests.faults.airflow_services import Airflow, free_port

STUDY = "nafld_diabetes"
IMAGE = "equipoise:compose-test"
REGISTRY_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
CONTAINER_USER = 50000


def main(arguments: list[str] | None = None) -> int:
    """Run all of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose.run", description=__doc__)
    parser.add_argument("--prod", action="store_true", help="with docker-compose.prod.yml")
    parser.add_argument("--quick", action="store_true", help="a network that trains in seconds")
    parser.add_argument("--image", help="one that is built already")
    parser.add_argument("--debian-mirror", help="for the base image made here")
    asked = parser.parse_args(arguments)
    # Asked to end, it takes the stack down first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if shutil.which("docker") is None:
        print("There is no docker command: install Docker and Compose.", file=sys.stderr)
        return 1
    with _folder() as folder, daemon(folder), tempfile.TemporaryDirectory() as scratch:
        try:
            stack = _stack(Path(scratch), asked.prod, _images(folder, asked.debian_mirror))
            study = _with_quick_study(stack, Path(scratch)) if asked.quick else STUDY
            if asked.image:
                stack.variables["EQUIPOISE_IMAGE"] = asked.image
            else:
                _build(stack)
            _try(stack, study, asked.prod)
        except Failed as failed:
            print(failed, file=sys.stderr)
            return 1
    print("compose test: passed")
    return 0


def _stack(scratch: Path, prod: bool, images: dict[str, str]) -> Stack:
    tls = {"EQUIPOISE_TLS": str(scratch / "tls")} if prod else {}
    variables = (
        images
        | tls
        | {
            "EQUIPOISE_IMAGE": IMAGE,
            "EQUIPOISE_WEB_PORT": str(free_port()),
            "EQUIPOISE_BACKUPS": str(_folder_of_the_containers(scratch / "backups")),
            "EQUIPOISE_KEY_BACKUPS": str(_folder_of_the_containers(scratch / "keys")),
            "EQUIPOISE_UID": str(os.geteuid() or CONTAINER_USER),
        }
    )
    files = ("docker-compose.yml", *(("docker-compose.prod.yml",) if prod else ()))
    return Stack(f"equipoise-test-{os.getpid()}", scratch / "secrets", variables, files)


def _folder_of_the_containers(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, CONTAINER_USER, 0)
    return folder


def _with_quick_study(stack: Stack, scratch: Path) -> str:
    """Mount another folder of studies over the image's own; the name of its study."""
    folder = write_studies(scratch / "studies", quick=quick_study())
    folder.chmod(0o755)
    mount = {"volumes": [f"{folder}:/opt/equipoise/studies:ro"]}
    file = scratch / "studies.yml"
    file.write_text(yaml.safe_dump({"services": dict.fromkeys((*OURS, *BY_HAND), mount)}))
    stack.files = (*stack.files, str(file))
    return "quick"


def _build(stack: Stack) -> None:
    with _step("build the image"):
        stack.compose("build")


def _try(stack: Stack, study: str, prod: bool) -> None:
    image = stack.variables["EQUIPOISE_IMAGE"]
    try:
        with _step("start the stack"):
            stack.make_secrets(*(["--tls"] if prod else []))
            if prod:
                write_certificates(Path(stack.variables["EQUIPOISE_TLS"]), CONTAINER_USER)
            stack.compose("up", "-d")
            stack.wait_until_healthy()
        airflow = _airflow(stack, prod)
        with _step("train and score through the API"):
            train_and_score(airflow, study)
        with _step("read the table as an analyst"):
            read_as_analyst(stack, study)
        with _step("look at containers, logs and processes"):
            look_at_containers(stack)
            look_at_image(image)
            look_at_versions(stack)
            look_for_the_store(stack)
            if prod:
                look_at_plaintext(stack)
            look_for_secrets(stack, image)
        with _step("back up"):
            back_up(stack)
        with _step("lose all but the backup and the secrets, and restore"):
            restore(stack)
            read_as_analyst(stack, study)
    except BaseException:
        print(stack.compose("logs", "--tail", "40"), file=sys.stderr)
        raise
    finally:
        with _step("take it down"):
            stack.take_down()
            assert stack.leftovers() == []


def _airflow(stack: Stack, prod: bool) -> Airflow:
    scheme = "https" if prod else "http"
    url = f"{scheme}://localhost:{stack.variables['EQUIPOISE_WEB_PORT']}"
    if prod:
        os.environ["SSL_CERT_FILE"] = f"{stack.variables['EQUIPOISE_TLS']}/ca.crt"
    airflow = Airflow(stack.secrets, {}, url)
    airflow.log_in("admin", stack.users()["admin"])
    return airflow


def _images(folder: Path, mirror: str | None) -> dict[str, str]:
    """The images that the environment names, a registry's, or those made here."""
    if "EQUIPOISE_BASE_IMAGE" in os.environ or _is_reachable():
        return {}
    return stand_ins(folder, mirror)


def _is_reachable() -> bool:
    try:
        docker("pull", "--quiet", REGISTRY_IMAGE)
    except Failed:
        return False
    return True


@contextmanager
def _folder() -> Iterator[Path]:
    if kept := os.environ.get("EQUIPOISE_COMPOSE_TEST_FOLDER"):
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="equipoise-compose-") as made:
        yield Path(made)


@contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"{what} …", flush=True)
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
