"""The model section that a race chose, as the training reads it."""

import yaml

from models.config import ModelConfig
from pipelines.errors import ArtefactCorrupt
from pipelines.stage import open_inputs

CHOSEN = "chosen_model.yaml"


def chosen_section(choice: str) -> ModelConfig:
    """The model section of a ``race_models`` artefact.

    Raises:
        ArtefactCorrupt: it is not there, or not as it was written.
    """
    file = open_inputs({"choice": choice})["choice"] / CHOSEN
    try:
        return ModelConfig.model_validate(yaml.safe_load(file.read_text())["model"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise ArtefactCorrupt(
            "A chosen model section cannot be read.",
            where=str(file),
            remedy="Delete the artefact and run the flow again: the race is run anew.",
        ) from None
