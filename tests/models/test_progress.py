import os
import pty
import subprocess
import sys

CODE = """
from models.progress import reporting
with reporting(networks=2) as report:
    report("seed_0", 1, 3, "loss 0.5000", 0.5)
    report("seed_1", 2, 3, "loss 0.2500", 0.25)
"""


def test_a_log_gets_plain_lines() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        "seed_0 epoch 1 of at most 3: loss 0.5000",
        "seed_1 epoch 2 of at most 3: loss 0.2500",
    ]


def test_a_person_at_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=theirs, env=environment) as child:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    assert child.returncode == 0
    words = said.decode()
    assert "5/6" in words  # the second network's second epoch, of two networks of three
    assert "seed_1" in words
    assert "loss 0.2500" in words
    assert "\x1b[" in words  # drawn in place, not line by line


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""
