"""Several networks at a time, each in a process that ends when its parent does."""

import ctypes
import os
import select
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import ParamSpec, TypeVar

# Of prctl(2).
SET_PARENT_DEATH_SIGNAL = 1

# In the environment of processes that train together: where they find each other.
EXCHANGE_FILE = "EQUIPOISE_EXCHANGE_FILE"

# A process that lost the others waits so long to be ended with them.
ENDED_TOGETHER_SECONDS = 10.0

P = ParamSpec("P")
T = TypeVar("T")


class ExchangeFailed(Exception):
    """Another process of the training ended, or cannot be reached."""


class AtOnce(Executor):
    """Runs each task here and now, when it is handed in."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def workers(processes: int) -> Executor:
    """Where tasks run: one process is this one, more are new ones.

    They are spawned and not forked, since a fork would copy torch's threads' locks.
    """
    if processes == 1:
        return AtOnce()
    return ProcessPoolExecutor(processes, get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A killed parent closes its end of a pipe: an orphan would train on beside the next try."""
    parent = parent_process()
    if parent is None:
        return
    _after(lambda: connection.wait([parent.sentinel]), lambda: os._exit(1))


def end_without_reader(end: Callable[[], None]) -> None:
    """Call `end` once nobody reads the pipe that we write to.

    Whoever started us and was killed reads no more; at our next line, which may be far, we would
    learn of it by a broken pipe. Where standard output is no pipe nothing is done.
    """
    if not stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
        return
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)  # only what is always told: an error, a hang-up
    _after(pipe.poll, end)


def _after(wait: Callable[[], object], end: Callable[[], None]) -> None:
    """Call `end` when `wait` has returned, on a thread of its own."""

    def wait_for_the_end() -> None:
        wait()
        end()

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def end_with_launcher() -> None:
    """Have the kernel (Linux's) kill us when the process that started us ends, however stuck."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def exit_code_of(work: Callable[[], None], expected: tuple[type[Exception], ...]) -> int:
    """Do the work of a child process; what goes wrong is its last line on stderr, and a 1.

    expected: errors whose own words are meant for a person.
    """
    try:
        work()
    except expected as error:
        print(error, file=sys.stderr)
        return 1
    except ExchangeFailed:
        # If another one failed, its words are to be the last: the launcher ends us meanwhile.
        time.sleep(ENDED_TOGETHER_SECONDS)
        print("another process of the training cannot be reached", file=sys.stderr)
        return 1
    except Exception as error:
        # Another library's message may quote a value: its class and place say enough.
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno} in {last.name}"
        print(f"{type(error).__name__} at {place}", file=sys.stderr)
        return 1
    return 0
