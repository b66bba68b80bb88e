"""Whether the store holds what its chain of events says: the log, the tables, each prediction.

Both stores bring the same three things: the events, the rows of the tables as JSON, and the
commitments of each publication. What this cannot tell: a log and a file of heads that were both
written anew by one who may write both.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import LiteralString

from pipelines.publication.anchor import read_anchors
from pipelines.publication.chain import Event, broken_events
from pipelines.publication.commitments import rows_digest
from pipelines.settings import Settings

# Event -> the table whose rows it tells; a withdrawal's event is named by its state.
TABLE_OF_EVENT = {
    "audit": "audits",
    "approval": "approvals",
    "release": "releases",
    "publication": "publications",
    "withdrawn": "withdrawals",
    "reinstated": "withdrawals",
    "erasure": "erasures",
}
ERASURES: LiteralString = "SELECT login, count(*) FROM erasures GROUP BY login ORDER BY login"
LOGGED = tuple(dict.fromkeys(TABLE_OF_EVENT.values()))


def broken_chain(events: list[Event], settings: Settings) -> list[str]:
    """What of the log does not hold, against itself and the heads kept outside."""
    return broken_events(events, read_anchors(settings))


def broken_tables(events: Iterable[Event], rows: Mapping[str, Iterable[str]]) -> list[str]:
    """Tables whose rows are not those that the events tell.

    Args:
        rows: for each of ``LOGGED`` its rows, each as the JSON that its event must carry.
    """
    told: dict[str, Counter[str]] = {table: Counter() for table in LOGGED}
    broken = []
    for event in events:
        table = TABLE_OF_EVENT.get(event.event)
        if table is None:
            broken.append(f"event {event.event_number} is of no known kind")
        else:
            told[table][_normal(event.payload)] += 1
    found = {table: Counter(map(_normal, rows[table])) for table in LOGGED}
    broken += [
        f"{table}: {(told[table] - found[table]).total()} rows are gone or changed, "
        f"{(found[table] - told[table]).total()} are told by no event"
        for table in LOGGED
        if told[table] != found[table]
    ]
    return broken


def broken_publications(
    digests: Mapping[str, str], commitments: Mapping[str, list[bytes]]
) -> list[str]:
    """Publications (by name) whose rows, erased ones with them, are not those published."""
    return [
        f"publication {name}: its predictions are not those that were published"
        for name, digest in digests.items()
        if rows_digest(commitments.get(name, [])) != digest
    ]


def _normal(payload: str) -> str:
    return json.dumps(json.loads(payload), sort_keys=True)
