"""Airflow's side: the port of its page, and the executor that tasks are handed to."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, requires, version
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

from packaging.requirements import Requirement

from pipelines.doctor.finding import Finding, worst
from pipelines.settings import Settings

HOST = "127.0.0.1"
HEALTH_SECONDS = 2.0
# A cold import takes as long; one that is not done by then is told, and the versions are looked at.
IMPORT_SECONDS = 3.9
MODULES = {
    "LocalExecutor": "airflow.executors.local_executor",
    "CeleryExecutor": "airflow.providers.celery.executors.celery_executor",
    "KubernetesExecutor": "airflow.providers.cncf.kubernetes.executors.kubernetes_executor",
}
NEEDS = {"CeleryExecutor": ("apache-airflow-providers-celery", "celery", "redis")}
IMPORT = "import importlib, sys; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])"


def ports(installation: Settings) -> Finding:
    """The web page's port is free, or Airflow answers on it."""
    words = os.environ.get("EQUIPOISE_WEB_PORT", "8080")
    remedy = "Set EQUIPOISE_WEB_PORT to a free port from 1 to 65535."
    if not words.isdecimal() or not 0 < int(words) < 65536:
        return Finding("ports", "fail", "EQUIPOISE_WEB_PORT is no port", remedy)
    with socket(AF_INET, SOCK_STREAM) as probe:
        # As who listens does: what a server left behind that has just ended is in nobody's way.
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(words)))
        except PermissionError:
            return Finding("ports", "fail", f"{words} needs rights that this account lacks", remedy)
        except OSError:
            if _is_airflow(int(words)):
                return Finding("ports", "ok", f"Airflow answers on {words}")
            remedy = f"Stop what listens there, or: {remedy}"
            return Finding("ports", "fail", f"{words} is taken by another program", remedy)
    return Finding("ports", "ok", f"{words} is free")


def _is_airflow(port: int) -> bool:
    return any(_is_healthy(f"{scheme}://{HOST}:{port}") for scheme in ("http", "https"))


def _is_healthy(address: str) -> bool:
    # Nothing is told to who answers, and the certificate is for another name than this address.
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    try:
        url = f"{address}/api/v2/monitor/health"
        with urllib.request.urlopen(  # noqa: S310 - our own address, http or https
            url, timeout=HEALTH_SECONDS, context=unchecked
        ) as answer:
            return "scheduler" in json.load(answer)
    except (urllib.error.URLError, HTTPException, OSError, ValueError):
        return False


def executor(installation: Settings) -> Finding:
    """The class of the executor is imported by a process of its own, and its parts fit."""
    name = os.environ.get("AIRFLOW__CORE__EXECUTOR") or "LocalExecutor"
    module, _, attribute = name.rpartition(".")
    module = module or MODULES.get(name, "")
    if not module:
        remedy = f"Set AIRFLOW__CORE__EXECUTOR to one of {', '.join(MODULES)} or a class's path."
        return Finding("executor import", "fail", "Airflow has no such executor", remedy)
    found = [*_unfit(attribute), *_imported(module, attribute, installation)]
    return worst("executor import", found, f"{attribute} can be imported")


def _unfit(name: str) -> Iterator[Finding]:
    """Parts that are missing, or in a version that ends the scheduler with words that mislead."""
    rules = [Requirement(text) for text in requires("equipoise") or ()]
    for part in NEEDS.get(name, ()):
        remedy = "Install what is locked: uv sync --locked"
        try:
            found = version(part)
        except PackageNotFoundError:
            yield Finding("executor import", "fail", f"{part} is not installed", remedy)
            continue
        if any(rule.name == part and not rule.specifier.contains(found) for rule in rules):
            words = f"{part} {found} breaks the {name}"
            yield Finding("executor import", "fail", words, remedy)


def _imported(module: str, attribute: str, installation: Settings) -> Iterator[Finding]:
    """Airflow writes a configuration where it finds none: then into a folder that goes again."""
    home = installation.airflow_home
    with tempfile.TemporaryDirectory() as empty:
        known = str(home) if (home / "airflow.cfg").exists() else empty
        try:
            done = subprocess.run(
                [sys.executable, "-c", IMPORT, module, attribute],
                env={"AIRFLOW_HOME": known} | os.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=IMPORT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            words = f"{attribute} was not imported in {IMPORT_SECONDS} s; its versions fit"
            yield Finding("executor import", "warn", words, "Run it again on an idle machine.")
            return
    if done.returncode:
        remedy = f'See why: python -c "from {module} import {attribute}"; then uv sync --locked'
        yield Finding("executor import", "fail", f"{attribute} cannot be imported", remedy)
