"""An S3 protocol server for the tests, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

# Planted: whatever the tests find them in has told a credential.
CANARY_KEY, CANARY_SECRET = "AKIACANARYCANARYKEY", "canary/secret/of/the/store"


@dataclass(frozen=True)
class S3Server:
    """A server that holds its objects in memory."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client reads: the address and the credentials, and nothing of this machine's."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": CANARY_KEY,
            "AWS_SECRET_ACCESS_KEY": CANARY_SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def new_bucket(self) -> str:
        """The name of an empty bucket."""
        bucket = f"bucket-{uuid4().hex[:12]}"
        objects(self).mkdir(bucket)
        return bucket


def objects(server: S3Server) -> Any:
    """A client of a test's own, by which it looks at the objects and spoils them."""
    import fsspec

    return fsspec.filesystem(
        "s3",
        key=CANARY_KEY,
        secret=CANARY_SECRET,
        endpoint_url=server.environment["AWS_ENDPOINT_URL"],
        use_listings_cache=False,
    )


@contextmanager
def running_server(log: Path) -> Iterator[S3Server]:
    """A server on a free port, until the end of the block."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
    try:
        _wait_until_it_answers(process, port)
        yield S3Server(port, process)
    finally:
        process.kill()
        process.wait()


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the S3 server did not start")


def use_server(patch: pytest.MonkeyPatch, server: S3Server) -> None:
    """Have this process and its children reach the server; a client made before is forgotten."""
    import s3fs

    for name, value in server.environment.items():
        patch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
