"""``python -m tests.pipelines.equipoise``: the command, without its script on the PATH."""

from pipelines.cli import main

main()
