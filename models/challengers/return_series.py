"""Each subject's series of returns, put together from the overlapping sequences of its rows."""

from dataclasses import dataclass

import numpy as np

from models.challengers.table import Floats, Rows, Table
from models.store import SequenceStore, members

CHANNEL = "log_return"
PERCENT = 100.0  # arch's optimiser wants returns near 1
MINUTES_PER_DAY = 1440


@dataclass(frozen=True)
class ToldSeries:
    """All that a store's rows tell of N subjects, and how much of it each row could know.

    Attributes:
        subjects: [N] ascending.
        returns: [N, T] in percent, a column per step, oldest first; NaN where a step has no
            return, and after a subject's last step.
        which: [E] the number of each row's subject.
        steps_known: [E] how many of the subject's steps were told by the row's index time.
    """

    subjects: Rows
    returns: Floats
    which: Rows
    steps_known: Rows


def told_series(store: SequenceStore) -> ToldSeries:
    """The series as first told: a step belongs to the subject's first row at or after its time.

    What only a later row tells of a step, a correction or a return known late, is left out: so
    nothing known after a row's index time can reach it.
    """
    subjects, which = np.unique(store.subject, return_inverse=True)
    new, owner = _news(store)
    rank = np.empty(len(store), dtype=np.int64)
    order = np.lexsort((store.index_day, which))
    rank[order] = np.arange(len(store))
    new = new[np.argsort(rank[owner], kind="stable")]
    told = np.cumsum(np.bincount(rank[owner], minlength=len(store)))  # up to the row of each rank
    rows = np.cumsum(np.bincount(which, minlength=len(subjects)))
    last = told[rows - 1]  # up to the last row of each subject
    before = np.concatenate([[0], last[:-1]]).astype(np.int64)
    lengths = last - before
    returns = np.full((len(subjects), int(lengths.max(initial=0))), np.nan)
    at = np.repeat(np.arange(len(subjects)), lengths)
    returns[at, np.arange(len(new)) - before[at]] = _return_of_step(store)[new]
    return ToldSeries(subjects, returns, which, told[rank] - before[which])


def return_series(table: Table) -> dict[int, Floats]:
    """Subject -> its returns in percent on all days that the rows' sequences know, in order.

    The rows' sequences overlap: of a day that several tell, the newest row's version counts.
    """
    owner, day, value = _returns(table)
    minute = _minute(table.store.index_day[table.rows][owner] + day)
    subject, index_day = table.subject[owner], table.store.index_day[table.rows][owner]
    order = np.lexsort((index_day, minute, subject))
    subject, minute, value = subject[order], minute[order], value[order]
    newest = np.ones(len(order), dtype=bool)
    newest[:-1] = (subject[1:] != subject[:-1]) | (minute[1:] != minute[:-1])
    subject, value = subject[newest], value[newest]
    return {int(one): value[subject == one] for one in np.unique(subject)}


def _news(store: SequenceStore) -> tuple[Rows, Rows]:
    """Steps later than the index time of the subject's row before, and their rows."""
    order = np.lexsort((store.index_day, store.subject))
    minute = _minute(store.index_day)
    since = np.full(len(store), -np.inf)
    again = store.subject[order][1:] == store.subject[order][:-1]
    since[order[1:][again]] = minute[order[:-1][again]]
    owner = np.repeat(np.arange(len(store)), store.lengths)
    new = np.flatnonzero(_minute(store.index_day[owner] + store.step_days) > since[owner])
    return new, owner[new]


def _minute(day: Floats) -> Floats:
    """Days as whole minutes: `step_days` are too short of digits for equality."""
    answer: Floats = np.rint(day * MINUTES_PER_DAY)
    return answer


def _return_of_step(store: SequenceStore) -> Floats:
    """[S] the return of every step in percent, NaN where it has none."""
    step = np.repeat(np.arange(len(store.step_days)), np.diff(store.observation_offsets))
    chosen = store.observation_channel == _channel(store)
    found = np.full(len(store.step_days), np.nan)
    found[step[chosen]] = store.observation_value[chosen].astype(np.float64) * PERCENT
    return found


def _returns(table: Table) -> tuple[Rows, Floats, Floats]:
    """Of every return in the rows' sequences: its row, days to the index time, percent."""
    store = table.store
    steps = members(store.step_offsets, table.rows)
    owner = np.repeat(np.arange(len(table)), store.lengths[table.rows])
    observations = members(store.observation_offsets, steps)
    which = np.repeat(np.arange(len(steps)), np.diff(store.observation_offsets)[steps])
    chosen = store.observation_channel[observations] == _channel(store)
    value = store.observation_value[observations[chosen]].astype(np.float64) * PERCENT
    step, owner = steps[which[chosen]], owner[which[chosen]]
    return owner, store.step_days[step].astype(np.float64), value


def _channel(store: SequenceStore) -> int:
    return [one.code for one in store.channels].index(CHANNEL)
