"""The race of `model: auto`: the clock, the halving, and what is said of what was not tried."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.config import ModelConfig
from pipelines.comparison.config import AutoSection
from pipelines.comparison.race import Clock, OutOfTime, Raced, race
from pipelines.comparison.sections import sections_of
from pipelines.errors import StudyInvalid, TrainingFailed
from pipelines.explain import train_stages
from pipelines.out_of_sample import CrossValidated, Epoch
from pipelines.study import load_study
from tests.pipelines.comparison_examples import MODEL, STUDY, write_study
from tests.validation.audit_examples import policy

SECTIONS = sections_of(("lstm", "gru", "rnn", "tcn"), ModelConfig())
# How well each of them ranks: the noise on its score.
NOISE = {"lstm": 3.0, "gru": 0.2, "rnn": 1.0, "tcn": 6.0}


@dataclass(frozen=True)
class Made(CrossValidated):
    """Answers whose examples need no artefact."""

    def with_examples(self) -> pl.DataFrame:
        return self.predictions


@dataclass
class Track:
    """Where models are asked: each leg takes a minute per fold, told of half-minute by minute."""

    seconds: float = 0.0
    asked: list[tuple[str, tuple[int, ...], bool]] = field(default_factory=list)
    # (name, its first fold): what cannot be trained there.
    impossible: frozenset[tuple[str, int]] = frozenset()

    def now(self) -> float:
        return self.seconds

    def ask(
        self,
        name: str,
        section: ModelConfig,
        folds: tuple[int, ...],
        with_challengers: bool,
        on_epoch: Callable[[Epoch], None],
    ) -> CrossValidated:
        self.asked.append((name, folds, with_challengers))
        if (name, folds[0]) in self.impossible:
            raise TrainingFailed("The loss is not finite.", where="", remedy="")
        for epoch in range(2 * len(folds)):
            self.seconds += 30.0
            on_epoch(Epoch(0, 0, epoch, 4, 0.5))
        rng = np.random.default_rng([7, *folds])
        label = rng.random(400 * len(folds)) < 0.3
        score = 1 / (1 + np.exp(-(2.0 * label + NOISE[name] * rng.normal(size=len(label)))))
        table = pl.DataFrame(
            {
                "fold": np.repeat(folds, 400),
                "label": label.astype(np.float64),
                "weight": np.ones(len(label)),
                "score": score,
            }
        )
        return Made("key", "sequences", table, {})


def raced(
    minutes: float, folds: int = 5, impossible: frozenset[tuple[str, int]] = frozenset()
) -> tuple[Raced, Track]:
    track = Track(impossible=impossible)
    return race(SECTIONS, folds, policy(), Clock(60.0 * minutes, track.now), track.ask), track


def test_with_time_enough_the_better_half_runs_on_all_folds_and_the_clock_decides_nothing() -> None:
    found, track = raced(1000.0)
    assert list(found.answered) == ["gru", "rnn"]
    assert [(name, folds) for name, folds, _ in track.asked] == [
        *((name, (0, 1)) for name in ("lstm", "gru", "rnn", "tcn")),
        ("gru", (2, 3, 4)),
        ("rnn", (2, 3, 4)),
    ]
    assert found.not_tried == tuple(
        f"{name} on all folds (behind on the first 2)" for name in ("lstm", "tcn")
    )
    assert list(raced(2000.0)[0].answered) == list(found.answered)


def test_the_simple_models_are_asked_once_for_each_fold() -> None:
    found, track = raced(1000.0)
    with_challengers = [folds for _, folds, simple in track.asked if simple]
    assert with_challengers == [(0, 1), (2, 3, 4)]
    assert [sorted(set(one.predictions["fold"])) for one in found.challengers] == [
        [0, 1],
        [2, 3, 4],
    ]


def test_what_is_under_way_when_the_time_is_over_is_stopped_and_said() -> None:
    found, track = raced(3.0)
    # lstm takes two minutes, gru is stopped in its second minute; the best so far is finished.
    assert [name for name, *_ in track.asked] == ["lstm", "gru", "lstm"]
    assert found.not_tried == ("gru (no time)", "rnn (no time)", "tcn (no time)")
    assert list(found.answered) == ["lstm"]
    assert track.seconds == 60.0 * (2 + 1 + 3)


def test_the_first_model_is_finished_whatever_the_clock_says() -> None:
    found, _ = raced(0.001)
    assert list(found.answered) == ["lstm"]
    assert {fold for one in found.answered["lstm"] for fold in one.predictions["fold"]} == set(
        range(5)
    )


def test_a_study_of_two_folds_is_raced_in_one_leg() -> None:
    found, track = raced(1000.0, folds=2)
    assert list(found.answered) == list(SECTIONS)
    assert {folds for _, folds, _ in track.asked} == {(0, 1)}
    assert len(found.challengers) == 1


CANNOT = "could not be trained: the loss is not finite"


def test_a_model_that_cannot_be_trained_is_left_out_and_the_next_stands_in_its_place() -> None:
    found, track = raced(1000.0, impossible=frozenset({("lstm", 0), ("gru", 2)}))
    # lstm never; gru, the better of the three that are left, not on the other folds.
    assert list(found.answered) == ["rnn"]
    assert [(name, folds[0], simple) for name, folds, simple in track.asked] == [
        ("lstm", 0, True),
        ("gru", 0, True),
        ("rnn", 0, False),
        ("tcn", 0, False),
        ("gru", 2, True),
        ("rnn", 2, True),
    ]
    assert len(found.challengers) == 2
    assert found.not_tried == (
        f"lstm ({CANNOT})",
        "tcn on all folds (behind on the first 2)",
        f"gru on all folds ({CANNOT})",
    )


def test_where_the_better_half_cannot_be_trained_the_others_are_what_is_left() -> None:
    found, _ = raced(1000.0, impossible=frozenset({("gru", 2), ("rnn", 2)}))
    assert list(found.answered) == ["lstm", "tcn"]
    assert found.not_tried == tuple(f"{name} on all folds ({CANNOT})" for name in ("gru", "rnn"))


@pytest.mark.parametrize("fold", [0, 2])
def test_a_race_without_a_model_that_can_be_trained_fails_and_says_why(fold: int) -> None:
    with pytest.raises(TrainingFailed, match=f"No model .* lstm .{CANNOT}.; gru|; lstm"):
        raced(1000.0, impossible=frozenset((name, fold) for name in SECTIONS))


def test_a_clock_stops_nothing_before_its_time() -> None:
    track = Track()
    clock = Clock(60.0, track.now)
    track.seconds = 59.9
    clock.stop(Epoch(0, 0, 1, 2, 0.5))
    track.seconds = 60.0
    with pytest.raises(OutOfTime):
        clock.stop(Epoch(0, 0, 1, 2, 0.5))


# ---- what a study may say ----------------------------------------------------------------------


def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Any, **sections: Any
) -> tuple[ModelConfig, AutoSection | None]:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    write_study(tmp_path, model=model, **sections)
    spec = load_study(STUDY)
    return spec.model, spec.auto


def test_auto_alone_races_every_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, auto = load(tmp_path, monkeypatch, "auto")
    assert model == ModelConfig()
    assert auto == AutoSection()
    assert {"lstm", "gru", "rnn", "tcn", "cnn_lstm", "attention"} <= set(auto.models)


def test_what_stands_beside_auto_is_what_all_have_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = {"minutes": 5, "models": ["gru", "lstm:hidden_size=8"]}
    model, auto = load(tmp_path, monkeypatch, MODEL | {"auto": race})
    assert model == ModelConfig.model_validate(MODEL)
    assert auto == AutoSection(minutes=5, models=("gru", "lstm:hidden_size=8"))


def test_a_study_that_names_its_model_races_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(tmp_path, monkeypatch, MODEL)[1] is None
    assert "race_models" not in train_stages(STUDY)


def test_the_race_is_explained_before_the_training_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path, monkeypatch, "auto")
    stages = train_stages(STUDY)
    assert list(stages)[2:5] == ["merge_sequences", "race_models", "train_model"]
    assert stages["train_model"] == ("merge_sequences", "race_models")


@pytest.mark.parametrize(
    ("race", "words"),
    [
        ({"models": ["lstm", "mamba"]}, "'mamba' is none of"),
        ({"models": ["tcn+decay"]}, "has no decay"),
        ({"minutes": 0}, "greater than 0"),
        ({"encoders": ["gru"]}, "Extra inputs"),
        ({"models": ["gru", "lstm:seeds=[4]"]}, "seeds are those of all models"),
        (
            {"models": ["gru", "lstm:other_labels_share=0.2"]},
            "'lstm:other_labels_share=0.2' cannot be tried: .* names no other outcomes",
        ),
        (
            {"models": ["lstm", "gru:together_with=[ewma]"]},
            "'gru:together_with=.ewma.' cannot be tried: model.together_with: expected",
        ),
    ],
)
def test_a_race_that_cannot_be_run_is_refused_with_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race: dict[str, Any], words: str
) -> None:
    with pytest.raises(StudyInvalid, match=words):
        load(tmp_path, monkeypatch, {"auto": race})


def test_a_race_is_refused_where_what_it_trains_is_not_what_the_study_would_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mitigation = {"attribute": "sex", "reweighing": True}
    with pytest.raises(StudyInvalid, match="mitigation: a race trains without it"):
        load(tmp_path, monkeypatch, "auto", mitigation=mitigation)
    assert load(tmp_path, monkeypatch, MODEL, mitigation=mitigation)[1] is None
