"""A market's files become source rows, with the rules by which they are judged."""

from collections import Counter

import polars as pl

from pipelines.events import CODE_TYPES, Records
from pipelines.market.actions import action_rows, known_splits
from pipelines.market.bars import bar_rows
from pipelines.market.config import PRICES, MarketConfig
from pipelines.market.sessions import calendar
from pipelines.market.tables import file_hashes
from pipelines.market.universe import DATES, date_rows, stated_instruments, subject_rows
from validation.market_rules import REASONS, event_rules
from validation.market_rules import subject_rules as rules_of_instruments

SPLIT_RATIOS = (0.001, 1000.0)


def fingerprint(config: MarketConfig) -> dict[str, str]:
    """Source file -> sha256, of bars, actions and the universe.

    Raises:
        SourceMissing: a file is not there.
    """
    source = config.source
    tables = [*source.bars, *source.actions]
    hashes = {}
    for table in [*tables, source.universe.table] if source.universe.table else tables:
        hashes.update(file_hashes(table))
    return hashes


def read_records(config: MarketConfig) -> Records:
    """All source rows of the study, as text beside what they were parsed to.

    Raises:
        SourceMissing: a file, folder or package is not there.
        SourceInvalid: a file is cut, lacks a column, or the exchange has no calendar.
    """
    source = config.source
    sessions = calendar(source.exchange)
    actions = action_rows(source, sessions)
    bars = bar_rows(source, sessions, known_splits(actions.rows))
    stated = stated_instruments(source, bars.rows["subject"])
    dates = date_rows(stated, source, sessions)
    kinds = (bars, actions, dates)
    return Records(
        subjects=subject_rows(stated, source, sessions),
        events=pl.concat([kind.rows for kind in kinds], how="diagonal"),
        codes=declared_codes(config),
        subject_rules=rules_of_instruments(),
        event_rules=event_rules(source.currency),
        reasons=REASONS,
        empty_cells=sum((kind.empty_cells for kind in kinds), Counter()),
        attributes_in_rules=("listed", "delisted"),
        parts=tuple(place for kind in kinds for place in kind.parts),
    )


def declared_codes(config: MarketConfig) -> pl.DataFrame:
    """The codes of a market: code, needs_value, low, high, declared_unit.

    A split is in new shares per old share, a dividend in cash per share.
    """
    low, high = config.plausible.price
    currency = config.source.currency
    rows = [
        *[(price, True, low, high, currency) for price in PRICES],
        ("volume", True, *config.plausible.volume, "shares"),
        ("split", True, *SPLIT_RATIOS, None),
        ("dividend", True, 0.0, high, currency),
        *[(code, False, None, None, None) for code, _ in DATES.values()],
    ]
    return pl.DataFrame(
        rows,
        schema=CODE_TYPES,
        orient="row",
    )
