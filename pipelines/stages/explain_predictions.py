"""explain_predictions: why each row has its score, and whether that may be believed."""

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts
from pipelines.errors import ArtefactCorrupt
from pipelines.reason_table import REASONS
from pipelines.splits import SPLITS
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage, store
from validation.faithfulness import FaithfulnessVerdict, adds_up, judge_faithfulness

log = logging.getLogger(__name__)

SAMPLE = 200
SEED = 0

Rows = npt.NDArray[np.int64]


def explain_predictions(study: str, sequences: str, scores: str) -> str:
    """Write up to three reasons per scored row, none if they are not shown to be faithful.

    reasons.parquet: subject_id, rank, channel, days_before (null for a static feature),
    contribution (of the raw answer: log odds, log volatility), method; it is empty unless
    faithfulness.json says that the verdict is pass. A score that cannot be explained is still a
    score: that nothing could be measured is written and closes no gate of the scores. A row whose
    contributions do not add up has no reasons; where too many do not, no row has any.

    Raises:
        ArtefactCorrupt: the scores are not of these sequences, or the model is unreadable.
    """
    inputs = {"sequences": sequences, "scores": scores, **_made_of(sequences, scores)}
    recipe = recipe_of(
        "explain_predictions",
        config={"sample": SAMPLE, "seed": SEED},
        inputs=inputs,
        libraries=("polars", "numpy", "torch", "captum", "scipy"),
        modules=("models.explanations.explaining", *ENCODER_MODULES),
        device=device_class(),
    )
    return run_stage(study, recipe, lambda draft: _write(open_inputs(inputs), draft)).key


def _made_of(sequences: str, scores: str) -> dict[str, str]:
    """The keys of the model, and of the sequences that it was trained on."""
    made_of = store().manifest(scores)["recipe"]["inputs"]
    if made_of["sequences"] != sequences:
        raise ArtefactCorrupt(
            "The scores to be explained are not of these sequences.",
            where=scores,
            remedy="Run the scoring flow again, from its first stage.",
        )
    return {name: made_of[name] for name in ("model", "trained_on")}


def _write(inputs: dict[str, Path], draft: Path) -> Counts:
    scored = pl.read_parquet(inputs["scores"] / "scores.parquet", columns=["subject_id"])
    lines, measured = _explained(inputs, scored)
    verdict = judge_faithfulness(measured)
    told = (
        _table(lines, inputs["sequences"]) if verdict.is_faithful else pl.DataFrame(schema=REASONS)
    )
    told.write_parquet(draft / "reasons.parquet")
    words = {"measured": measured, **verdict.model_dump(mode="json")}
    (draft / "faithfulness.json").write_text(json.dumps(words, indent=1, sort_keys=True))
    return _counts(scored, told, verdict) | {"not_adding_up": measured.get("not_adding_up", 0)}


def _explained(
    inputs: dict[str, Path], scored: pl.DataFrame
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The reasons, and the measures of them; neither where the model cannot be explained.

    Whatever else goes wrong is no fault of the scores: it is written by its class, not by its
    words, which could quote a record.
    """
    # torch: only whoever explains pays for it.
    from models.estimator import ModelUnusable
    from models.explanations.explained import ExplanationImpossible
    from models.explanations.explaining import explained_reasons
    from models.explanations.registry import OF_REASONS
    from models.store import SequencesUnusable

    sequences, trained_on = inputs["sequences"], inputs["trained_on"]
    nothing = {"method": OF_REASONS, "impossible": ""}
    try:
        rows, sample = scored_rows(sequences, scored), _sample(trained_on)
        told = explained_reasons(sequences, inputs["model"], rows, trained_on, sample)
        return _adding_up(*told)
    except ExplanationImpossible as error:
        return [], nothing | {"impossible": str(error)}
    except (ModelUnusable, SequencesUnusable) as error:
        raise ArtefactCorrupt(
            f"These sequences cannot be explained by this model: {error}.",
            where=str(inputs["model"]),
            remedy="Delete the one that the message names and run the flow again from its stage.",
        ) from None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        log.warning("%s at %s:%s: no reasons", kind, Path(last.filename).name, last.lineno)
        return [], nothing | {"impossible": f"the explanation met an unexpected {kind}"}


def _adding_up(
    lines: list[dict[str, Any]], missing: dict[int, float], measured: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lines of the rows that add up, and how many do not."""
    broken = {row for row, one in missing.items() if not adds_up(one, measured["answer_range"])}
    share = len(broken) / len(missing) if missing else None
    counted = {"not_adding_up": len(broken), "not_adding_up_share": share}
    return [line for line in lines if line["row"] not in broken], measured | counted


def scored_rows(sequences: Path, scored: pl.DataFrame) -> Rows:
    """The numbers of the store's examples that were scored to be published: today's alone."""
    examples = pl.read_parquet(sequences / "examples.parquet").with_row_index("row")
    if "is_current" in examples.columns:
        examples = examples.filter("is_current")
    chosen = examples.join(scored.select("subject_id"), on="subject_id", how="semi")
    rows: Rows = chosen["row"].sort().to_numpy().astype(np.int64)
    return rows


def _sample(trained_on: Path) -> Rows:
    """The examples on which faithfulness is measured: of the test part, which no weight saw."""
    parts = pl.read_parquet(trained_on / "examples.parquet", columns=["split"])["split"]
    test = (parts == SPLITS.index("test")).arg_true().to_numpy()
    drawn = np.random.default_rng(SEED).choice(test, min(SAMPLE, len(test)), replace=False)
    return np.sort(drawn).astype(np.int64)


def _table(lines: list[dict[str, Any]], sequences: Path) -> pl.DataFrame:
    subjects = pl.read_parquet(sequences / "examples.parquet", columns=["subject_id"])
    told = pl.DataFrame(
        lines, schema={"row": pl.Int64(), **{k: v for k, v in REASONS.items() if k != "subject_id"}}
    )
    named = told.with_columns(subject_id=subjects["subject_id"].gather(told["row"]))
    return named.select(pl.col(k).cast(v) for k, v in REASONS.items()).sort("subject_id", "rank")


def _counts(scored: pl.DataFrame, told: pl.DataFrame, verdict: FaithfulnessVerdict) -> Counts:
    lines = [line.verdict for line in verdict.lines]
    return {
        "subjects": scored.height,
        "explained": told["subject_id"].n_unique(),
        "reasons": told.height,
        "lines": len(lines),
        "passed": lines.count("pass"),
    }
