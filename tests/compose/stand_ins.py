"""Images made on this machine, for where no registry is reachable; they need root and debootstrap.

The base is Debian's, the servers are Debian's packages: what is tested is our image, the compose
file and how they fit, and not the images that a registry would give.
"""

import subprocess
import tarfile
from pathlib import Path

from tests.compose.docker import docker, has_image

BASE = "equipoise-test/base:1"
RELEASE = "bookworm"
IMAGES = Path(__file__).parent / "images"
SERVERS = {"EQUIPOISE_POSTGRES_IMAGE": "postgres", "EQUIPOISE_BROKER_IMAGE": "valkey"}
# The build's libraries come from the machine's own network, as far as it has one.
NETWORK = ("--network", "host")


def stand_ins(folder: Path, mirror: str | None) -> dict[str, str]:
    """Variable of docker-compose.yml -> image; what is made already is taken.

    Args:
        folder: holds the base's files while they are imported.
        mirror: of Debian; None for the one that debootstrap knows.
    """
    if not has_image(BASE):
        _import_base(folder / "rootfs", mirror)
    for target in SERVERS.values():
        if not has_image(_tag(target)):
            base = ("--build-arg", f"BASE_IMAGE={BASE}")
            docker("build", *NETWORK, "--target", target, *base, "-t", _tag(target), str(IMAGES))
    servers = {variable: _tag(target) for variable, target in SERVERS.items()}
    return servers | {"EQUIPOISE_BASE_IMAGE": BASE, "EQUIPOISE_BUILD_NETWORK": "host"}


def _tag(target: str) -> str:
    return f"equipoise-test/{target}:1"


def _import_base(root: Path, mirror: str | None) -> None:
    packages = "--include=ca-certificates,python3,python3-venv"
    words = ["debootstrap", "--variant=minbase", packages, RELEASE, str(root)]
    subprocess.run([*words, *([mirror] if mirror else [])], check=True, stdout=subprocess.DEVNULL)
    # Builds trust whom this machine trusts.
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    (root / authorities.relative_to("/")).write_bytes(authorities.read_bytes())
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, "w") as packed:
        packed.add(root, arcname=".", filter=_without_packages)
    docker("import", str(archive), BASE)
    archive.unlink()


def _without_packages(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    is_cached = member.name.startswith("./var/cache/apt/archives/")
    return None if is_cached and member.isfile() else member
