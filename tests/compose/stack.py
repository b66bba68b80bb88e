"""A stack of docker-compose.yml under a name of its own: started, asked, looked at, taken down."""

import json
import os
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.compose.docker import compose_command, docker, run
from tests.dags.installations import ROOT

# Of our image, and what runs beside them for as long.
OURS = (
    "init",
    "api-server",
    "scheduler",
    "dag-processor",
    "triggerer",
    "worker-cpu",
    "worker-gpu",
)
SERVICES = (*OURS[1:], "broker", "postgres")
# Of our image too, each in a profile of its name.
BY_HAND = ("backup", "restore")
READY_SECONDS = 600.0


@dataclass
class Stack:
    """One project of Compose.

    Attributes:
        variables: what docker-compose.yml takes from the environment.
        files: the compose files, each over the one before.
    """

    name: str
    secrets: Path
    variables: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)
    _command: list[str] = field(default_factory=compose_command)

    def compose(self, *words: str, text_in: str | None = None) -> str:
        chosen = [word for file in self.files for word in ("-f", str(ROOT / file))]
        # A developer's own account of a store is none of the stack's.
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= self.variables | {"DOCKER_BUILDKIT": "0", "EQUIPOISE_SECRETS": str(self.secrets)}
        command = [*self._command, "-p", self.name, "--project-directory", str(ROOT), *chosen]
        # The .env of this checkout says what another cluster is made of.
        settings = self.secrets.with_name("no-settings.env")
        settings.touch()
        return run(*command, "--env-file", str(settings), *words, env=env, text_in=text_in)

    def make_secrets(self, *options: str) -> None:
        run(sys.executable, str(ROOT / "docker" / "make_secrets.py"), str(self.secrets), *options)

    def execute(self, service: str, *words: str, text_in: str | None = None) -> str:
        """What a command in a running service prints."""
        return self.compose("exec", "-T", service, *words, text_in=text_in)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Service -> all that `docker inspect` tells of its container."""
        named = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.name}")
        ids = named.split()
        inspected = json.loads(docker("inspect", *ids)) if ids else []
        label = "com.docker.compose.service"
        return {each["Config"]["Labels"][label]: each for each in inspected}

    def wait_until_healthy(self, services: Collection[str] = SERVICES) -> None:
        """Wait for each service's own health check."""
        ends = time.monotonic() + READY_SECONDS
        while ill := [
            name for name, state in self.states() if name in services and state != "healthy"
        ]:
            assert time.monotonic() < ends, f"not healthy: {ill}"
            time.sleep(3)

    def states(self) -> Iterable[tuple[str, str]]:
        """(service, health) of what runs for long; "none" of what is not there."""
        known = self.containers()
        for name in SERVICES:
            state = known.get(name, {}).get("State", {})
            yield name, state.get("Health", {}).get("Status", "none")

    def users(self) -> dict[str, str]:
        """Name -> password, as init made them."""
        file = "/var/lib/equipoise/secrets/airflow_passwords.json"
        known: dict[str, str] = json.loads(self.execute("api-server", "cat", file))
        return known

    def secret_texts(self) -> set[str]:
        """Every password and key of the stack, none of which may be seen anywhere."""
        made = [*self.secrets.glob("*_password"), *self.secrets.glob("*_key")]
        texts = {file.read_text() for file in [*made, self.secrets / "jwt_secret"]}
        return texts | set(self.users().values())

    def take_down(self) -> None:
        """End it with its volumes."""
        self.compose("down", "-v", "--remove-orphans", "-t", "20")

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks that bear its name."""
        label = ("--filter", f"label=com.docker.compose.project={self.name}", "-q")
        found = (
            docker("ps", "-a", *label),
            docker("volume", "ls", *label),
            docker("network", "ls", *label),
        )
        return [line for each in found for line in each.split()]
