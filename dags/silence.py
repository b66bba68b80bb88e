"""Let only our own errors speak: another library's message may quote a record."""

import functools
import logging
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.errors import EquipoiseError, RunFailed

log = logging.getLogger(__name__)


def without_values(function: Callable[..., str]) -> Callable[..., str]:
    """Wrap a stage so that no exception it raises can carry a value of a record.

    Airflow writes an exception and all that it was raised from into the task's log. Our own
    errors go on alone; any other becomes a ``RunFailed`` that names its class and place.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> str:
        failure: EquipoiseError
        try:
            with warnings.catch_warnings():
                # skops looks for names in every loaded module when it is imported, and each
                # deprecated name of Airflow's that it touches would be a line in the task's log.
                warnings.filterwarnings("ignore", message=r"The `airflow\.")
                return function(*args, **kwargs)
        except EquipoiseError as error:
            failure = error
        except Exception as error:
            failure = _anonymous(error, function.__name__)
        failure.__cause__ = failure.__context__ = None
        raise failure

    return call


def _anonymous(error: Exception, stage: str) -> RunFailed:
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
