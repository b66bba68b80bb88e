"""Several processes for one training: `python -m models.launching --processes 2 models.training`.

This is torchrun on one machine, which starts the processes, says to each which one it is, and ends
all when one ends badly. It is called here and not by its own command for what it says and how it
ends: a failure's last line is the training's own, a signal ends us as that signal, and nobody
trains on when whoever started us is gone.
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
from types import FrameType

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, launch_agent

from models.processes import EXCHANGE_FILE, end_without_reader

# Gloo's sockets have no password: all of its processes are on this machine.
LOOPBACK = "lo"


def main() -> int:
    """Run the module in so many processes; 0 when all ended well."""
    parser = argparse.ArgumentParser(description="Run a module in several processes together.")
    parser.add_argument("--processes", type=int, required=True, help="how many")
    parser.add_argument("module", help="what each of them runs")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the module")
    told = parser.parse_args()
    end_without_reader(lambda: os.kill(os.getpid(), signal.SIGTERM))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the module sets its own number
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    return launch(told.processes, [told.module, *told.arguments])


def launch(processes: int, module: list[str]) -> int:
    """`module` and its arguments, in so many processes of this machine."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _raise)  # until torchrun's own, which do the same
    with tempfile.TemporaryDirectory(prefix="equipoise-launching-") as place:
        os.environ[EXCHANGE_FILE] = f"{place}/exchange"
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            max_restarts=0,
            local_addr="127.0.0.1",
            # Files of the owner's: torch's own store would listen on every interface, with
            # pickles in it and without a password.
            rdzv_backend="c10d",
            rdzv_endpoint=f"{place}/rendezvous",
            rdzv_configs={"store_type": "file"},
            run_id="training",
            logs_specs=DefaultLogsSpecs(log_dir=f"{place}/logs"),
        )
        try:
            launch_agent(config, sys.executable, ["-u", "-m", *module])
        except ChildFailedError as error:
            return _told(error)
        except SignalException as end:
            ended_by = end.sigval
        else:
            return 0
    # The processes are ended by now; whoever waits for us is to see the signal.
    signal.signal(ended_by, signal.SIG_DFL)
    os.kill(os.getpid(), ended_by)
    return 1


def _raise(number: int, frame: FrameType | None) -> None:
    raise SignalException("ended", signal.Signals(number))


def _told(error: ChildFailedError) -> int:
    """What the processes have not said themselves: that one was ended by a signal."""
    number, first = error.get_first_failure()
    if first.exitcode < 0:
        name = signal.Signals(-first.exitcode).name
        print(f"process {number} of the training was ended by {name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
