"""Let only our own errors speak: another library's message may quote a record."""

import functools
import logging
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from pipelines.errors import EquipoiseError, RunFailed

log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Made = TypeVar("Made")


def without_values(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Wrap a stage so that no exception it raises can carry a value of a record.

    Airflow writes an exception and all that it was raised from into the task's log. Our own
    errors go on alone; any other becomes a ``RunFailed`` that names its class and place.
    """

    @functools.wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        failure: EquipoiseError
        try:
            with warnings.catch_warnings():
                # skops looks for names in every loaded module when it is imported, and each
                # deprecated name of Airflow's that it touches would be a line in the task's log.
                warnings.filterwarnings("ignore", message=r"The `airflow\.")
                return function(*args, **kwargs)
        except EquipoiseError as error:
            failure = error
        except BaseException as error:
            if not isinstance(error, Exception) and not _is_panic(error):
                # A stop from outside goes on, without what was being handled when it came.
                error.__cause__ = error.__context__ = None
                raise
            failure = _anonymous(error, function.__name__)
        failure.__cause__ = failure.__context__ = None
        raise failure

    return call


def _is_panic(error: BaseException) -> bool:
    """Whether a library in Rust broke down: its exception is no ``Exception``, and it quotes.

    By name, because the class lives in the library and Polars is not imported to parse a DAG.
    """
    return any(cls.__name__ == "PanicException" for cls in type(error).__mro__)


def _anonymous(error: BaseException, stage: str) -> RunFailed:
    """The class of an error and where it arose; its words stay unsaid."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    log.error("%s in %s, raised at\n%s", type(error).__name__, stage, "\n".join(places))
    last = frames[-1]
    return RunFailed(
        f"{stage} met an unexpected {type(error).__name__}. "
        "Its message is withheld: it could quote a record.",
        where=f"{Path(last.filename).name}:{last.lineno} in {last.name}",
        remedy="The task's log lists the whole path. This is a fault of Equipoise or of its "
        "surroundings (disk, memory, network): please report it if it comes again.",
    )
