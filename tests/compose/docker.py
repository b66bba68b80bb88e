"""The docker command, and a daemon of our own where none runs."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 60.0


class Failed(Exception):
    """A command ended with another code than 0."""


def run(*words: str, env: dict[str, str] | None = None, text_in: str | None = None) -> str:
    """What a command prints.

    Raises:
        Failed: it ended with another code than 0; with the last lines of what it printed.
    """
    done = subprocess.run(
        words,
        env=env,
        input=text_in,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL if text_in is None else None,
    )
    if done.returncode != 0:
        last = (done.stdout + done.stderr).splitlines()[-30:]
        raise Failed("\n".join([f"{words[0]} ended with {done.returncode}", *last]))
    return done.stdout


def docker(*words: str) -> str:
    """What a docker command prints; images are built without BuildKit, which is a plugin."""
    return run("docker", *words, env=os.environ | {"DOCKER_BUILDKIT": "0"})


def has_image(name: str) -> bool:
    return bool(docker("images", "--quiet", name).strip())


def has_daemon() -> bool:
    """Whether the docker command is there and a daemon answers it."""
    try:
        docker("info", "--format", "{{.ServerVersion}}")
    except (Failed, FileNotFoundError):
        return False
    return True


def compose_command() -> list[str]:
    """Compose v2 where it is installed, else docker-compose.

    Raises:
        Failed: neither is.
    """
    try:
        docker("compose", "version")
    except Failed:
        if shutil.which("docker-compose") is None:
            raise Failed("neither `docker compose` nor docker-compose is installed") from None
        return ["docker-compose"]
    return ["docker", "compose"]


@contextmanager
def daemon(folder: Path) -> Iterator[None]:
    """The daemon that runs, or one in ``folder`` that ends with the block; that one needs root.

    Raises:
        Failed: it does not answer within READY_SECONDS.
    """
    if has_daemon():
        yield
        return
    socket = f"unix://{folder}/docker.sock"
    roots = ("--data-root", str(folder / "docker"), "--exec-root", str(folder / "exec"))
    with (folder / "dockerd.log").open("ab") as log:
        server = subprocess.Popen(
            ["dockerd", *roots, "--host", socket, "--pidfile", str(folder / "dockerd.pid")],  # noqa: S607
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    os.environ["DOCKER_HOST"] = socket
    try:
        _wait_for_daemon(server, folder / "dockerd.log")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=READY_SECONDS)
        del os.environ["DOCKER_HOST"]


def _wait_for_daemon(server: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + READY_SECONDS
    while not has_daemon():
        if server.poll() is not None or time.monotonic() > ends:
            raise Failed(f"no Docker daemon could be started: see {log}")
        time.sleep(2)
