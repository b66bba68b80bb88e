"""compress_model: a trained model in a smaller form, an artefact that is audited like any model."""

from pathlib import Path

from models.compression.registry import FORM_MODULES
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.compression import COMPRESSED
from pipelines.errors import ArtefactCorrupt, CompressionImpossible
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage, store


def compress_model(study: str, sequences: str, model: str, predictions: str, form: str) -> str:
    """Write the model in `form`, one of models/compression/registry.py.

    Args:
        predictions: key of those of the model as it is, by which its audit will tell what the
            smaller form changed.

    Raises:
        CompressionImpossible: there is no such form of this model.
        ArtefactCorrupt: the model or the sequences cannot be read, or do not belong together.
    """
    _require_trained(model, predictions)
    recipe = recipe_for(sequences, model, predictions, form)
    return run_stage(
        study, recipe, lambda draft: _write(open_inputs(recipe.inputs), form, draft)
    ).key


def recipe_for(sequences: str, model: str, predictions: str, form: str) -> Recipe:
    """What decides the smaller networks: the trained ones, the sequences, the form, the code."""
    return recipe_of(
        COMPRESSED,
        config={"form": form},
        inputs={"sequences": sequences, "model": model, "predictions": predictions},
        libraries=("numpy", "torch", "scikit-learn", "onnx", "onnxruntime", "torchao"),
        modules=("models.compression.compressing", *FORM_MODULES, *ENCODER_MODULES),
        device=device_class(),
    )


def _require_trained(model: str, predictions: str) -> None:
    """A model that its training wrote, and predictions that this very model made."""
    manifest = store().manifest
    if manifest(model)["recipe"]["stage"] == COMPRESSED:
        raise CompressionImpossible(
            "The model is a smaller form already.",
            where=model,
            remedy="Name the trained model that it was made of.",
        )
    made_of = manifest(predictions)["recipe"]["inputs"].get("model")
    if made_of != model:
        raise CompressionImpossible(
            f"The predictions were made by {made_of}.",
            where=predictions,
            remedy=f"Name the predictions of {model}.",
        )


def _write(inputs: dict[str, Path], form: str, draft: Path) -> Counts:
    # torch: only whoever compresses pays for it.
    from models.compression import form as forms
    from models.compression.compressing import compress
    from models.estimator import ModelUnusable
    from models.store import SequencesUnusable

    try:
        return compress(inputs["sequences"], inputs["model"], form, draft)
    except forms.CompressionImpossible as error:
        raise CompressionImpossible(
            f"This model has no form {form}: {error}.",
            where=str(inputs["model"]),
            remedy="Choose another form: equipoise compress --help",
        ) from None
    except (ModelUnusable, SequencesUnusable) as error:
        raise ArtefactCorrupt(
            f"The model cannot be compressed: {error}.",
            where=f"{inputs['model']} on {inputs['sequences']}",
            remedy="Delete the one that the message names and run the flow again from its stage.",
        ) from None
