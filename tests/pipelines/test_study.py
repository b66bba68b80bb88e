"""A study is read whole, or refused with every error and its place."""

from pathlib import Path

import pytest
import yaml

from pipelines.errors import StudyInvalid
from pipelines.strict_yaml import strict_yaml
from pipelines.study import load_study, study_names

STUDIES = Path(__file__).parents[2] / "studies"
WORKING = (STUDIES / "nafld_diabetes.yaml").read_text()


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", [path.stem for path in sorted(STUDIES.glob("*.yaml"))])
def test_every_study_of_the_repository_loads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(STUDIES))

    assert load_study(name).name == name


def test_an_unknown_study_names_those_there_are(studies: Path) -> None:
    (studies / "one.yaml").write_text(WORKING)
    with pytest.raises(StudyInvalid) as refused:
        load_study("two")

    assert study_names() == ["one"]
    assert "Name one of these: one." in refused.value.remedy


def test_all_errors_of_a_study_are_told_at_once(studies: Path) -> None:
    raw = strict_yaml(WORKING)
    raw["audit"]["threshold"] = 2
    raw["model"]["hidden_sise"] = 3
    raw["ehr"]["outcome"]["codes"] = ["diabets"]
    del raw["title"]
    (studies / "wrong.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyInvalid) as refused:
        load_study("wrong")

    for place in ("audit.threshold", "model.hidden_sise", "title", "diabets"):
        assert place in refused.value.cause


def test_a_loss_of_two_classes_is_refused_where_there_are_none(studies: Path) -> None:
    raw = strict_yaml((STUDIES / "sp500_volatility.yaml").read_text())
    raw["model"]["focal_gamma"] = 2.0
    (studies / "wrong.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyInvalid, match="a prediction of volatility has no classes"):
        load_study("wrong")


@pytest.mark.parametrize(
    ("study", "told"),
    [("sp500_volatility", "expected one of .*ewma.*found hist"), ("sp500_price", "nobody for")],
)
def test_who_answers_together_is_a_challenger_of_the_task(
    studies: Path, study: str, told: str
) -> None:
    raw = strict_yaml((STUDIES / f"{study}.yaml").read_text())
    raw["model"]["together_with"] = ["hist_gradient_boosting_of_another_task"]
    (studies / "wrong.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyInvalid, match=told):
        load_study("wrong")


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        ("sp500_volatility", {"head": "hazard"}, "a prediction of volatility has no hazard"),
        ("sp500_direction", {"head": "hazard"}, "a prediction of direction has no hazard"),
        ("sp500_volatility", {"conformal_rate": 0.01}, "only quantiles are corrected"),
        ("nafld_diabetes", {"conformal_by": "male"}, "only quantiles are corrected"),
        ("nafld_diabetes", {"other_labels_share": 0.3}, "no other outcomes"),
        ("sp500_volatility", {"other_labels_share": 0.3}, "no other outcomes"),
    ],
)
def test_what_is_to_be_learned_must_be_there(
    name: str, model: dict[str, object], words: str, studies: Path
) -> None:
    raw = strict_yaml((STUDIES / f"{name}.yaml").read_text())
    raw["model"] |= model
    (studies / "wrong.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyInvalid, match=words):
        load_study("wrong")


def test_other_outcomes_are_learned_where_the_study_names_them(studies: Path) -> None:
    raw = strict_yaml(WORKING)
    raw["model"]["other_labels_share"] = 0.3
    raw["ehr"]["outcome"]["also"] = [{"title": "hypertension", "codes": ["htn"]}]
    (studies / "right.yaml").write_text(yaml.safe_dump(raw))
    assert load_study("right").records.learned_beside == ["hypertension"]


@pytest.mark.parametrize(
    ("model", "mitigation", "words"),
    [
        ({"head": "hazard"}, {"reweighing": True}, "a hazard counts everybody"),
        ({"accumulate_batches": 2}, {"group_robust": {}}, "expected model.accumulate_batches: 1"),
    ],
)
def test_a_mitigation_fits_how_the_model_is_trained(
    model: dict[str, object], mitigation: dict[str, object], words: str, studies: Path
) -> None:
    raw = strict_yaml(WORKING)
    raw["model"] |= model
    raw["mitigation"] = {"attribute": "sex"} | mitigation
    (studies / "wrong.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyInvalid, match=words):
        load_study("wrong")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (WORKING + "\ntitle: again\n", "the key `title` stands twice"),
        ("title: &a [1]\npurpose: *a\n", "an alias is not allowed"),
        ("title: [", "not readable as YAML"),
        ("- a list", "expected a mapping"),
        (WORKING.replace("domain: ehr", "domain: weather"), "expected one of ehr"),
        (WORKING.replace("at_least: 0.65", ""), "exactly one limit"),
        ("#" * 300_000, "larger than"),
    ],
)
def test_a_broken_file_is_refused_with_its_cause(studies: Path, text: str, cause: str) -> None:
    (studies / "wrong.yaml").write_text(text)
    with pytest.raises(StudyInvalid) as refused:
        load_study("wrong")

    assert cause in refused.value.cause
    assert refused.value.where.endswith("wrong.yaml")


@pytest.mark.parametrize("word", ["on", "no", "y", "off"])
def test_words_stay_words(studies: Path, word: str) -> None:
    text = WORKING.replace("owner: Equipoise demonstration", f"owner: {word}")
    (studies / "one.yaml").write_text(text)

    assert load_study("one").owner == word
