"""What the containers of a stack may do, and what they show."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.compose.docker import Failed, docker
from tests.compose.stack import OURS, SERVICES, Stack
from tests.dags.installations import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
LOCK = (
    "from pipelines.doctor.locks import lock; from pipelines.settings import settings; "
    "print(lock(settings()).words)"
)
KNOCK = (
    "psql --no-password -c 'SELECT 1' "
    "-d 'host=127.0.0.1 user=postgres dbname=postgres sslmode={}' 2>&1 || true"
)


def look_at_image(image: str) -> None:
    """No root, no port, no volume, and nothing in the environment that names a secret."""
    [told] = json.loads(docker("inspect", image))
    config = told["Config"]
    assert config["User"] == "50000:0"
    named = [each.partition("=")[0] for each in config["Env"]]
    assert not [name for name in named if any(word in name for word in ("PASS", "KEY", "TOKEN"))]


def look_at_containers(stack: Stack) -> None:
    """As Docker tells it, and as it is inside."""
    containers = stack.containers()
    for service in SERVICES:
        host = containers[service]["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert any(each.startswith("no-new-privileges") for each in host["SecurityOpt"]), service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert bool(host["PortBindings"]) == (service == "api-server"), service
        assert stack.execute(service, "id", "-u").strip() != "0", service
        assert not _can_write(stack, service), service
        if service in OURS:
            shown = stack.execute(service, "ls", "/run/secrets").split()
            assert set(shown) == _declared(COMPOSE["services"][service]), service
    assert stack.execute("broker", "ls", "/data/appendonlydir").strip()


def _declared(service: dict[str, Any]) -> set[str]:
    """The secrets of a service, and what is mounted among them if somebody names it."""
    targets = [mount["target"] for mount in service["volumes"] if isinstance(mount, dict)]
    optional = {Path(target).name for target in targets if target.startswith("/run/secrets/")}
    return {*service["secrets"], *optional}


def _can_write(stack: Stack, service: str) -> bool:
    try:
        stack.execute(service, "touch", "/canary")
    except Failed:
        return False
    return True


def look_at_versions(stack: Stack) -> None:
    """What the image holds is what the lock of versions in it names."""
    assert "versions as locked" in stack.execute("worker-cpu", "python", "-c", LOCK)


def look_at_plaintext(stack: Stack) -> None:
    """The server asks for a password over TLS, and before that refuses who asks for no TLS."""
    assert "no encryption" in stack.execute("postgres", "sh", "-c", KNOCK.format("disable"))
    assert "no password supplied" in stack.execute("postgres", "sh", "-c", KNOCK.format("require"))


def back_up(stack: Stack) -> None:
    """By the login that reads all; what is written is a backup's, and the keys lie apart."""
    folders = ("/backups/first", "--secrets", "/backups-of-keys/first")
    stack.compose("run", "--rm", "-T", "--no-deps", "backup", "equipoise", "backup", *folders)
    made = Path(stack.variables["EQUIPOISE_BACKUPS"]) / "first"
    assert list(made.rglob("database.dump"))
    assert not list(made.rglob("*.key"))
    # The demo's records are public: of its keys there is the list alone.
    assert (Path(stack.variables["EQUIPOISE_KEY_BACKUPS"]) / "first" / "backup.json").is_file()


def restore(stack: Stack) -> None:
    """As on a new machine: the server alone, then the backup, then init and all the others."""
    stack.take_down()
    stack.compose("up", "-d", "postgres")
    stack.wait_until_healthy(("postgres",))
    folders = ("/backups/first", "--secrets", "/backups-of-keys/first")
    stack.compose("run", "--rm", "-T", "--no-deps", "restore", "equipoise", "restore", *folders)
    stack.compose("up", "-d")
    stack.wait_until_healthy()


def look_for_the_store(stack: Stack) -> None:
    """Who has no login of the predictions refuses: an empty file would be whole."""
    try:
        told = stack.execute("scheduler", "equipoise", "verify")
    except Failed as failed:
        told = str(failed)
    assert "ended with 33" in told


def look_for_secrets(stack: Stack, image: str) -> None:
    """In what Docker keeps of image and containers, in their logs and in their processes."""
    containers = stack.containers()
    shown = {
        "docker inspect of the image": docker("inspect", image),
        "docker history": docker("history", "--no-trunc", image),
        "docker inspect": json.dumps(containers),
        "logs": stack.compose("logs", "--no-color"),
        "processes": "".join(docker("top", containers[service]["Id"]) for service in SERVICES),
    }
    secrets = stack.secret_texts()
    assert len(secrets) >= 10
    for where, text in shown.items():
        assert not any(secret in text for secret in secrets), f"a secret is in {where}"
