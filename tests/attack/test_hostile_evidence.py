"""Evidence written by hand is refused or judged closed: it never opens the gate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import EquipoiseError
from pipelines.releases import list_releases
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.release_model import release_model
from tests.dags.installations import write_studies
from tests.pipelines.approval_examples import (
    OUT_OF_REACH,
    SHOWN,
    asking_study,
    audited_study,
    rewrite,
    rows_published,
)
from tests.validation.audit_examples import CHALLENGERS, policy, simulated, sound_data
from validation.audit import audit_predictions_table
from validation.evidence import Evidence, PredictionSource, dump_evidence, load_evidence
from validation.gate import judge

Document = dict[str, Any]
POLICY = policy(crossings=[], bootstrap_draws=100)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """Evidence of a real audit that opens the gate, as it stands in the file."""
    measured = Evidence(
        study="example",
        intended_use="a test",
        policy=POLICY,
        populations=audit_predictions_table(
            simulated(subjects=6000), POLICY, challengers=CHALLENGERS
        ),
        data=sound_data(),
        prediction_source=PredictionSource(key="predict_holdout/00", sha256="0" * 64),
    )
    judged = measured.model_copy(update={"gate": judge(measured, measured.policy)})
    path = tmp_path_factory.mktemp("sound") / "evidence.json"
    dump_evidence(judged, path)
    assert judged.gate is not None
    assert judged.gate.is_open, judged.gate.reasons
    return dict(json.loads(path.read_text()))


def opens(text: str, folder: Path) -> bool:
    """Whether this file, read as the release reads it, opens the gate."""
    path = folder / "evidence.json"
    path.write_text(text)
    try:
        evidence = load_evidence(path)
    except ValueError:
        return False
    verdict = judge(evidence, POLICY)
    # release_model demands both: the numbers pass, and the file says of them what the gate says.
    return verdict.is_open and verdict == evidence.gate


def gap_of(evidence: Document, metric: str = "tpr") -> Document:
    """The first gap by sex in a metric, in place."""
    gaps = evidence["populations"][0]["gaps"]
    found: Document = next(g for g in gaps if (g["attribute"], g["metric"]) == ("sex", metric))
    return found


def challengers(evidence: Document) -> list[Document]:
    found: list[Document] = evidence["populations"][0]["challengers"]
    return found


def best(evidence: Document) -> Document:
    return next(one for one in challengers(evidence) if one["best"])


def upside_down(evidence: Document) -> None:
    estimate = gap_of(evidence)["estimate"]
    estimate["low"], estimate["high"] = estimate["high"], estimate["low"]


def outer_upside_down(evidence: Document) -> None:
    estimate = gap_of(evidence)["estimate"]
    low, high = estimate["simultaneous_low"], estimate["simultaneous_high"]
    estimate["simultaneous_low"], estimate["simultaneous_high"] = high, low


def narrower(evidence: Document) -> None:
    estimate = gap_of(evidence)["estimate"]
    estimate["simultaneous_low"] = (estimate["low"] + estimate["value"]) / 2
    estimate["simultaneous_high"] = (estimate["high"] + estimate["value"]) / 2


def outside_its_interval(evidence: Document) -> None:
    estimate = evidence["populations"][0]["overall"]["metrics"]["auroc"]
    estimate["value"] = estimate["high"] + 0.01


def lying(evidence: Document) -> None:
    """A challenger whose scores are the label, not flagged: the network would lose to it."""
    liar = json.loads(json.dumps(best(evidence))) | {"name": "the_label", "best": False}
    liar["metrics"]["auroc"] = {**liar["metrics"]["auroc"], "value": 1.0, "low": 1.0, "high": 1.0}
    challengers(evidence).append(liar)


def copied(evidence: Document) -> None:
    challengers(evidence).append(json.loads(json.dumps(best(evidence))))


def renamed(evidence: Document) -> None:
    """The best is passed off as the worst: another is flagged in its place."""
    for one in challengers(evidence):
        one["best"] = not one["best"]


def truly_best_is_the_label(evidence: Document) -> None:
    """Consistent in every flag: then the difference must say by how much the network loses."""
    lying(evidence)
    for one in challengers(evidence):
        one["best"] = one["name"] == "the_label"
    liar = best(evidence)
    liar["difference"]["auroc"] = {"value": -0.2, "low": -0.25, "high": -0.15}


def twice_the_group(evidence: Document) -> None:
    population = evidence["populations"][0]
    population["groups"].append(population["groups"][0])


def one_group(evidence: Document) -> None:
    population = evidence["populations"][0]
    level = next(g["level"] for g in population["groups"] if g["attribute"] == "sex")
    population["groups"] = [g for g in population["groups"] if g["level"] != level]


def no_gap_of_a_group(evidence: Document) -> None:
    evidence["populations"][0]["gaps"].remove(gap_of(evidence))


def failed_check(evidence: Document) -> None:
    evidence["data"]["checks"][1]["passed"] = False


def softer(evidence: Document) -> None:
    evidence["policy"]["gating"][0]["at_least"] = 0.1


def put(*path: str | int, to: Any) -> Callable[[Document], None]:
    """Set one place of the document."""

    def change(evidence: Document) -> None:
        place: Any = evidence
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


OVERALL = ("populations", 0, "overall")
AUROC = (*OVERALL, "metrics", "auroc")
CHANGES: dict[str, Callable[[Document], None]] = {
    "a verdict flipped in a line": put("gate", "lines", 0, "verdict", to="fail"),
    "reasons beside a pass": put("gate", "reasons", to=["nothing to see"]),
    "another decision": put("gate", "decision", to="ask"),
    "a softer policy": softer,
    "an unknown field": put("approved_by", to="the model"),
    "an unknown field in a group": put(*OVERALL, "trust_me", to=True),
    "an unknown metric": put(*OVERALL, "metrics", "accuracy", to={"value": 1.0}),
    "another schema": put("schema_version", to=2),
    "a schema in words": put("schema_version", to="1"),
    "a number in words": put(*AUROC, "value", to="0.99"),
    "a truth for a number": put(*AUROC, "value", to=True),
    "no number": put(*AUROC, to={}),
    "a value alone": put(*AUROC, to={"value": 0.99}),
    "a value outside its interval": outside_its_interval,
    "an interval upside down": upside_down,
    "the outer interval upside down": outer_upside_down,
    "an outer interval narrower than the inner": narrower,
    "a negative count": put(*OVERALL, "counts", "subjects", to=-5),
    "a count with a fraction": put(*OVERALL, "counts", "subjects", to=10.5),
    "a group twice": twice_the_group,
    "a group missing": one_group,
    "a gap missing": no_gap_of_a_group,
    "no populations": put("populations", to=[]),
    "populations that are a word": put("populations", to="holdout"),
    "a challenger that is the label, unflagged": lying,
    "a challenger that is the label, flagged": truly_best_is_the_label,
    "a copy of a challenger": copied,
    "another challenger flagged": renamed,
    "no challengers": put("populations", 0, "challengers", to=[]),
    "a failed check": failed_check,
    "no checks": put("data", "checks", to=[]),
    "no files": put("data", "files", to=[]),
    "rows that do not add up": put("data", "files", 0, "accepted", to=1),
    "no source": put("prediction_source", to=None),
    "not judged": put("gate", to=None),
}


def test_the_evidence_that_is_changed_here_would_open_the_gate(
    sound: Document, tmp_path: Path
) -> None:
    assert opens(json.dumps(sound), tmp_path)


@pytest.mark.parametrize("change", CHANGES)
def test_evidence_with_it_stays_closed(change: str, sound: Document, tmp_path: Path) -> None:
    hostile = json.loads(json.dumps(sound))
    CHANGES[change](hostile)
    assert hostile != sound
    assert not opens(json.dumps(hostile), tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('"verdict": "pass"', '"verdict": "fail", "verdict": "pass"', 1),
        lambda text: text.replace('"study":', '"study": "another", "study":', 1),
        lambda text: text.replace('"value": 0.', '"value": NaN, "x": 0.', 1),
        lambda text: text.replace('"high": 0.', '"high": Infinity, "x": 0.', 1),
        lambda text: text.replace('"low": 0.', '"low": -Infinity, "x": 0.', 1),
        lambda text: text.replace('"value": 0.', '"value": 1e999, "x": 0.', 1),
        lambda text: text[: len(text) // 2],
        lambda text: text + text,
        lambda text: "",
        lambda text: "null",
        lambda text: "[" * 100_000,
        lambda text: "pass",
        lambda text: text + " " * 5_000_000 + "{",
    ],
)
def test_a_file_that_is_no_evidence_stays_closed(
    spoil: Callable[[str], str], sound: Document, tmp_path: Path
) -> None:
    text = json.dumps(sound)
    assert spoil(text) != text
    assert not opens(spoil(text), tmp_path)


# ---- after the audit ---------------------------------------------------------------------------


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_PERSON", "Tess")
    return tmp_path


def flipped(text: str) -> str:
    """Every verdict a pass, every decision a release."""
    document = json.loads(text)
    document["gate"] |= {"verdict": "pass", "decision": "release", "reasons": []}
    for line in document["gate"]["lines"]:
        line["verdict"] = "pass"
    return json.dumps(document)


def better(text: str) -> str:
    """The numbers themselves improved, and judged anew by the gate."""
    document = json.loads(text)
    document["populations"][0]["overall"]["metrics"]["auroc"] |= {
        "value": 0.99,
        "low": 0.98,
        "high": 0.995,
    }
    evidence = Evidence.model_validate_json(json.dumps(document))
    gate = judge(evidence, evidence.policy)
    return evidence.model_copy(update={"gate": gate}).model_dump_json()


@pytest.mark.parametrize("edit", [flipped, lambda text: text + " ", better])
def test_an_audit_that_was_edited_releases_nothing(
    edit: Callable[[str], str], installation: Path
) -> None:
    study = asking_study(OUT_OF_REACH)
    write_studies(settings().studies_dir, demo=study)
    audit = audited_study("demo")
    file = store().path(audit) / "evidence.json"
    text = edit(file.read_text())
    file.chmod(0o600)
    file.write_text(text)
    with pytest.raises(EquipoiseError):
        release_model("demo", audit)
    assert not list_releases("demo")
    assert rows_published("demo") == 0


def test_a_flipped_verdict_releases_nothing_even_under_a_manifest_that_was_made_to_fit(
    installation: Path,
) -> None:
    write_studies(settings().studies_dir, demo=asking_study(OUT_OF_REACH))
    audit = audited_study("demo")
    file = store().path(audit) / "evidence.json"
    rewrite(file, flipped(file.read_text()).encode())
    with pytest.raises(EquipoiseError):
        release_model("demo", audit)
    assert rows_published("demo") == 0


@pytest.mark.parametrize("key", ["audit_model/../../etc", "../audit_model/x", "/etc/passwd", ""])
def test_a_path_in_the_place_of_an_audit_is_refused(key: str, installation: Path) -> None:
    write_studies(settings().studies_dir, demo=asking_study(SHOWN))
    with pytest.raises((EquipoiseError, OSError)):
        release_model("demo", key)
    assert rows_published("demo") == 0
