"""A machine of its own for a worker: a network namespace with one cable, which can be cut."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import which

import pytest

MAY_MOUNT = os.geteuid() == 0 and all(which(name) for name in ("ip", "nsenter"))
needs_root = pytest.mark.skipif(not MAY_MOUNT, reason="namespaces and mounts are root's to make")


@dataclass(frozen=True)
class Machine:
    """``host`` is the address of all that the worker reaches over the cable."""

    name: str
    host: str
    cable: str

    @property
    def prefix(self) -> list[str]:
        """The words before a command that is to run there."""
        # Not `ip netns exec`: that hides what is mounted later, such as a small disk.
        return [which("nsenter") or "nsenter", f"--net=/run/netns/{self.name}"]

    def cut(self) -> None:
        """No packet passes and nobody is told."""
        run("link", "set", self.cable, "down")

    def mend(self) -> None:
        run("link", "set", self.cable, "up")


@contextmanager
def machine() -> Iterator[Machine]:
    """A namespace with its cable; both are gone at the end."""
    number = os.getpid() % 250
    name, cable, far = f"equipoise-{number}", f"eqh{number}", f"eqw{number}"
    host, worker = f"10.231.{number}.1", f"10.231.{number}.2"
    run("netns", "add", name)
    try:
        run("link", "add", cable, "type", "veth", "peer", "name", far, "netns", name)
        run("addr", "add", f"{host}/30", "dev", cable)
        run("link", "set", cable, "up")
        run("-n", name, "addr", "add", f"{worker}/30", "dev", far)
        run("-n", name, "link", "set", far, "up")
        run("-n", name, "link", "set", "lo", "up")
        yield Machine(name, host, cable)
    finally:
        run("netns", "del", name)


@contextmanager
def small_disk(folder: os.PathLike[str], megabytes: int) -> Iterator[None]:
    """A file system of a few megabytes over a folder."""
    mount = [which("mount") or "mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]
    subprocess.run([*mount, str(folder)], check=True)
    try:
        yield
    finally:
        _unmount(folder)


def run(*words: str) -> None:
    subprocess.run([_ip(), *words], check=True, capture_output=True)


def _ip() -> str:
    return which("ip") or "ip"


def _unmount(folder: os.PathLike[str]) -> None:
    """Somebody may still look into it for a moment."""
    for _ in range(30):
        done = subprocess.run([which("umount") or "umount", str(folder)], check=False)
        if done.returncode == 0:
            return
        time.sleep(2)
    raise AssertionError(f"{folder} cannot be unmounted")
