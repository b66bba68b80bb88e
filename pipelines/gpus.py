"""The NVIDIA GPUs that a training may use, counted without importing torch."""

import os
import shutil
import subprocess


def visible_gpus() -> int:
    """How many whole GPUs the driver lists and ``CUDA_VISIBLE_DEVICES`` leaves."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    listed = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)
    # A slice of a GPU (MIG) is listed below it, indented.
    there = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return _left(there, os.environ.get("CUDA_VISIBLE_DEVICES")) if listed.returncode == 0 else 0


def _left(there: int, visible: str | None) -> int:
    """CUDA takes the devices named before the first that is not there."""
    if visible is None:
        return there
    left = 0
    for name in (word.strip() for word in visible.split(",")):
        is_named = name.startswith(("GPU-", "MIG-"))  # the driver's own names: taken as they are
        if not is_named and not (name.isdecimal() and int(name) < there):
            break
        left += 1
    return min(left, there)
