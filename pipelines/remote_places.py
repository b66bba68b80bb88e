"""The place that a URL names: an object store, or a second folder."""

from pathlib import Path

from pipelines.remote_files import RemoteFiles
from pipelines.remote_folder import RemoteFolder
from pipelines.remote_objects import ObjectFiles


def remote_files(url: str) -> RemoteFiles:
    """The files below a URL: ``s3://bucket/prefix``, ``file:///folder``, any that fsspec knows."""
    if url.startswith("file://"):
        return RemoteFolder(Path(url.removeprefix("file://")), url)
    return ObjectFiles(url)
