"""Rates, two populations and two reports: what of the groups may be shown beside what."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import gating_line, policy
from validation.disclosure.cube import (
    ALL_LEVELS,
    cells_of,
    compared,
    cube_of,
    finest_of,
    ties_of,
)
from validation.disclosure.group_counts import (
    CENSORED,
    NEGATIVE,
    POSITIVE,
    ShownGroups,
    shown_groups,
)
from validation.disclosure.memory import ShownBefore, read_memory, write_memory

CONFIG = policy(
    attributes=["sex"],
    crossings=[],
    minimum_positives=50,
    gating=[gating_line(line="n", against="best_challenger", at_least=-0.02)],
)
RATES = ("tpr", "fpr", "ppv", "selection_rate", "net_benefit")
ENOUGH = {"found": 60, "missed": 60, "alarms": 60, "cleared": 60, "censored": 20}


def people(sex: str, *, in_holdout: bool = True, **numbers: Any) -> pl.DataFrame:
    """So many subjects of one sex: found, missed, alarms, cleared, censored."""
    kinds = {
        "found": (POSITIVE, True),
        "missed": (POSITIVE, False),
        "alarms": (NEGATIVE, True),
        "cleared": (NEGATIVE, False),
        "censored": (CENSORED, True),
    }
    frames = [
        pl.DataFrame(
            {
                "sex": [sex] * count,
                "status": [kinds[kind][0]] * count,
                "selected": [kinds[kind][1]] * count,
                "selected_cross_fitted": [kinds[kind][1]] * count,
                "in_holdout": [in_holdout] * count,
            },
            schema={
                "sex": pl.String,
                "status": pl.Int64,
                "selected": pl.Boolean,
                "selected_cross_fitted": pl.Boolean,
                "in_holdout": pl.Boolean,
            },
        )
        for kind, count in (ENOUGH | numbers).items()
    ]
    return pl.concat(frames)


def of_holdout(*frames: pl.DataFrame, before: tuple[ShownBefore, ...] = ()) -> ShownGroups:
    return shown_groups(pl.concat(frames), CONFIG, ["holdout"], before=before, scored_by="a")


def test_every_rate_of_large_groups_is_shown() -> None:
    shown = of_holdout(people("f"), people("m"))
    assert set(shown.withheld.values()) == {()}
    assert shown.counts["holdout", "sex", "f"].positives == 120


def test_counts_say_who_is_positive_censored_and_in_all() -> None:
    shown = of_holdout(people("f", found=70, censored=21), people("m"))
    counts = shown.counts["holdout", "sex", "f"]
    assert (counts.subjects, counts.positives, counts.censored) == (271, 130, 21)
    total = shown.counts["holdout", "overall", ALL_LEVELS]
    assert (total.subjects, total.positives, total.censored) == (531, 250, 41)


@pytest.mark.parametrize(
    ("few", "withheld"),
    [
        ("found", {"tpr", "ppv", "net_benefit"}),
        ("missed", {"tpr", "ppv", "net_benefit"}),
        ("alarms", {"fpr", "net_benefit"}),
        ("cleared", {"fpr", "net_benefit"}),
    ],
)
def test_a_rate_is_withheld_from_both_groups_where_few_stand_behind_one(
    few: str, withheld: set[str]
) -> None:
    shown = of_holdout(people("f", in_holdout=True, **{few: 3}), people("m"))
    for level in ("f", "m"):
        # Of the other group the rest would follow, by what is shown of everybody.
        assert withheld <= set(shown.withheld["holdout", "sex", level])
    assert shown.withheld["holdout", "overall", ALL_LEVELS] == ()
    assert shown.counts["holdout", "sex", "f"].subjects is not None


def test_few_selected_withhold_the_selection_rate() -> None:
    shown = of_holdout(people("f", found=2, alarms=3), people("m"))
    assert "selection_rate" in shown.withheld["holdout", "sex", "f"]


def test_nobody_is_no_small_number() -> None:
    shown = of_holdout(people("f", missed=0), people("m"))
    assert shown.withheld["holdout", "sex", "f"] == ()


def test_a_hidden_denominator_withholds_its_rates() -> None:
    shown = of_holdout(people("f", found=2, missed=2), people("m"))
    assert shown.counts["holdout", "sex", "f"].positives is None
    assert {"tpr", "net_benefit"} <= set(shown.withheld["holdout", "sex", "m"])


def test_a_metric_that_is_there_does_not_say_that_the_rest_are_few() -> None:
    # 3 cases of 55 are women's: that men's ranking is told at all says 50 or more are theirs.
    women, men = people("f", found=1, missed=2), people("m", found=26, missed=26)
    shown = of_holdout(women, men)
    assert "auroc" in shown.withheld["holdout", "sex", "m"]


def test_the_totals_are_of_everybody_and_shown_however_few() -> None:
    shown = of_holdout(people("f", censored=2), people("m", censored=1))
    assert shown.counts["holdout", "overall", ALL_LEVELS].censored == 3
    assert shown.counts["holdout", "sex", "f"].censored is None
    assert shown.counts["holdout", "sex", "m"].censored is None


def test_the_holdout_is_not_told_from_all_by_a_few() -> None:
    inner = [people("f"), people("m")]
    others = [
        people("f", in_holdout=False, found=1, missed=1, alarms=1, cleared=1, censored=1),
        people("m", in_holdout=False),
    ]
    shown = shown_groups(pl.concat(inner + others), CONFIG, ["holdout", "cross_fitted"])
    women = [shown.counts[name, "sex", "f"].subjects for name in ("holdout", "cross_fitted")]
    assert None in women
    assert shown.counts["cross_fitted", "overall", ALL_LEVELS].subjects == 260 * 3 + 5


# ---- beside an earlier report ------------------------------------------------------------------


def added(**numbers: int) -> pl.DataFrame:
    nobody = dict.fromkeys(ENOUGH, 0)
    return people("f", in_holdout=True, **(nobody | numbers))


def test_the_same_report_again_shows_the_same() -> None:
    first = of_holdout(people("f", missed=3), people("m"))
    again = of_holdout(people("f", missed=3), people("m"), before=(first.memory,))
    assert (again.counts, again.withheld) == (first.counts, first.withheld)


@pytest.mark.parametrize("joined", [1, 3, 10])
def test_a_count_that_a_few_joined_is_hidden_beside_yesterdays(joined: int) -> None:
    yesterday = of_holdout(people("f"), people("m"))
    today = of_holdout(people("f"), people("m"), added(cleared=joined), before=(yesterday.memory,))
    for level in ("f", "m"):
        assert today.counts["holdout", "sex", level].subjects is None
    assert today.counts["holdout", "overall", ALL_LEVELS].subjects == 520 + joined


def test_a_count_that_many_joined_is_shown_again() -> None:
    yesterday = of_holdout(people("f"), people("m"))
    many = {"found": 20, "missed": 20, "alarms": 20, "cleared": 20, "censored": 20}
    today = of_holdout(people("f"), people("m"), added(**many), before=(yesterday.memory,))
    assert today.counts["holdout", "sex", "f"].subjects == 360
    assert today.withheld["holdout", "sex", "f"] == ()


def test_a_few_who_left_are_hidden_as_those_who_came() -> None:
    yesterday = of_holdout(people("f", cleared=64), people("m"))
    today = of_holdout(people("f"), people("m"), before=(yesterday.memory,))
    assert today.counts["holdout", "sex", "f"].subjects is None


def test_other_decisions_of_another_model_are_no_people_who_came() -> None:
    yesterday = of_holdout(people("f"), people("m"))
    frame = pl.concat([people("f", found=63, missed=57), people("m")])
    same = shown_groups(frame, CONFIG, ["holdout"], before=(yesterday.memory,), scored_by="a")
    other = shown_groups(frame, CONFIG, ["holdout"], before=(yesterday.memory,), scored_by="b")
    assert other.withheld["holdout", "sex", "f"] == ()
    assert "tpr" in same.withheld["holdout", "sex", "f"]


def test_every_earlier_report_counts_not_the_last_alone() -> None:
    first = of_holdout(people("f"), people("m"))
    many = {"found": 20, "missed": 20, "alarms": 20, "cleared": 20, "censored": 20}
    second = of_holdout(people("f"), people("m"), added(**many), before=(first.memory,))
    back = of_holdout(people("f", cleared=62), people("m"), before=(first.memory, second.memory))
    assert back.counts["holdout", "sex", "f"].subjects is None


def test_beside_a_report_by_other_attributes_nothing_of_groups_is_shown() -> None:
    frame = pl.concat([people("f"), people("m")]).with_columns(site=pl.lit("one"))
    by_site = policy(
        attributes=["site"],
        crossings=[],
        gating=[gating_line(line="n", against="best_challenger", at_least=-0.02)],
    )
    yesterday = shown_groups(frame, by_site, ["holdout"])
    today = shown_groups(frame, CONFIG, ["holdout"], before=(yesterday.memory,))
    counts = today.counts["holdout", "sex", "f"]
    assert (counts.subjects, counts.positives, counts.censored) == (None, None, None)
    assert {"auroc", *RATES} <= set(today.withheld["holdout", "sex", "f"])
    assert today.counts["holdout", "overall", ALL_LEVELS].subjects == 520


def test_the_memory_is_its_owners_alone_and_reads_back_whole(tmp_path: Path) -> None:
    memory = of_holdout(people("f", missed=3), people("m")).memory
    path = write_memory(memory, tmp_path)
    assert path.name == "cells.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_memory(path) == memory
    assert memory.scored_by == "a"
    assert np.array_equal(
        memory.tables[0].cube.counts,
        cube_of(pl.concat([people("f", missed=3), people("m")]), ("sex",)).counts,
    )


def test_a_memory_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.json"
    path.write_text('{"tables": "none"}')
    with pytest.raises(ValueError, match="tables"):
        read_memory(path)


# ---- the cube ----------------------------------------------------------------------------------


def test_the_cells_of_a_table_are_the_true_counts() -> None:
    cube = cube_of(pl.concat([people("f", missed=3), people("m", alarms=7)]), ("sex",))
    found = {
        one.key[1:]: int(cube.finest[one.members].sum())
        for one in cells_of(cube, ("sex",), ["holdout"])
        if one.at_least is None
    }
    expected = {
        "subjects": 203,
        "positives": 63,
        "censored": 20,
        "negatives": 120,
        "known": 183,
        "found": 60,
        "missed": 3,
        "alarms": 60,
        "cleared": 60,
        "selected": 120,
        "unselected": 63,
    }
    women = {key[3]: count for key, count in found.items() if key[:3] == ("holdout", "sex", "f")}
    assert women == expected
    assert found["holdout", "sex", "m", "alarms"] == 7
    assert found["holdout", "sex", "m", "missed"] == 60


def test_each_population_has_its_own_decisions() -> None:
    frame = people("f").with_columns(selected_cross_fitted=~pl.col("selected"))
    cube = cube_of(pl.concat([frame, people("f", in_holdout=False)]), ())
    found = {
        one.key[1:]: int(cube.finest[one.members].sum())
        for one in cells_of(cube, (), ["holdout", "cross_fitted"])
    }
    assert found["holdout", "overall", "all", "found"] == 60
    assert found["cross_fitted", "overall", "all", "found"] == 60 + 60
    assert found["cross_fitted", "overall", "all", "subjects"] == 520
    assert found["difference", "overall", "all", "subjects"] == 260
    assert ("difference", "overall", "all", "found") not in found


def test_what_two_reports_share_came_and_left_adds_up() -> None:
    now = cube_of(pl.concat([people("f", missed=70), people("m")]), ("sex",))
    before = cube_of(pl.concat([people("f"), people("m", alarms=64), people("x")]), ("sex",))
    both = compared(now, before, same_scores=True)
    counts = {
        one.key: int(both.finest[one.members].sum())
        for report in ("now", "before", "gained", "lost")
        for one in cells_of(both, ("sex",), ["holdout"], report=report)
    }
    assert counts["gained", "holdout", "sex", "f", "missed"] == 10
    assert counts["lost", "holdout", "sex", "m", "alarms"] == 4
    assert counts["lost", "holdout", "sex", "x", "subjects"] == 260
    assert counts["now", "holdout", "sex", "m", "alarms"] == 60
    assert counts["before", "holdout", "sex", "m", "alarms"] == 64
    assert counts["now", "holdout", "sex", "x", "subjects"] == 0


def test_cubes_of_the_same_subjects_are_tied() -> None:
    frame = (
        pl.concat([people("f"), people("m", missed=3)])
        .with_columns(site=pl.int_range(pl.len()) % 3)
        .with_columns(pl.col("site").cast(pl.String))
    )
    cubes = [cube_of(frame, ("sex",)), cube_of(frame, ("site",))]
    ties = ties_of(cubes)
    assert len(ties) > 10
    assert not (ties @ finest_of(cubes)).any()
    assert ties_of(cubes[:1]).shape == (0, len(cubes[0].finest))


def test_attributes_that_no_crossing_links_are_compared_with_yesterdays_together() -> None:
    config = policy(
        attributes=["sex", "site"],
        crossings=[],
        gating=[gating_line(line="n", against="best_challenger", at_least=-0.02)],
    )
    now = pl.concat([people("f", cleared=63), people("m")]).with_columns(site=pl.lit("one"))
    first = shown_groups(now.tail(-3), config, ["holdout"])
    today = shown_groups(now, config, ["holdout"], before=(first.memory,))
    assert len(first.memory.tables) == 2
    assert today.counts["holdout", "sex", "f"].subjects != 263
    assert today.counts["holdout", "overall", ALL_LEVELS].subjects == 523
