"""Names of models on a command line, and the model sections that they stand for.

A name is an encoder, or `study` for the study's own section; after it options, each behind a `+`,
and fields of the section, each behind a `:`, as in `gru+decay` or `lstm:hidden_size=64`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from models.config import EncoderConfig, ModelConfig
from models.encoders.registry import ENCODERS
from pipelines.errors import StudyInvalid
from pipelines.strict_yaml import strict_yaml

OWN, AUTO = "study", "auto"
# Word behind a plus -> the field that it sets, by its dotted name.
OPTIONS: dict[str, tuple[str, Any]] = {
    "decay": ("encoder.decay", True),
    "bidirectional": ("encoder.bidirectional", True),
    "hazard": ("head", "hazard"),
    "pretraining": ("pretraining", {}),
}
# What all models have alike, so that no name may say it.
OF_ALL = ("seeds", "window_seeds")
# As many layers as a section may have: with kernels of 3 these see 1,021 time steps.
MOST_LEVELS = 8


def sections_of(names: Sequence[str], base: ModelConfig) -> dict[str, ModelConfig]:
    """Each name with its section: the study's but for what the name says.

    Raises:
        StudyInvalid: a name cannot be read, or what it asks for does not exist.
    """
    if len(set(names)) != len(names) or not names:
        raise _unreadable(",".join(names), "name one model or more, each once")
    return {name: section_of(name, base) for name in names}


def require_all_fitting(
    sections: Mapping[str, ModelConfig], require_fitting: Callable[[ModelConfig], None]
) -> None:
    """Before the first is trained: the study can train them all.

    Args:
        require_fitting: raises ValueError for a section that it cannot.

    Raises:
        StudyInvalid: it cannot.
    """
    for name, section in sections.items():
        try:
            require_fitting(section)
        except ValueError as error:
            raise _unreadable(name, str(error)) from None


def section_of(name: str, base: ModelConfig) -> ModelConfig:
    """The section of one name.

    Raises:
        StudyInvalid: as ``sections_of``.
    """
    words, *fields = name.split(":")
    kind, *options = words.split("+")
    section = base.model_dump(mode="json")
    if kind in ENCODERS:
        # Options of another encoder mean nothing to this one.
        section["encoder"] = {"kind": kind}
    elif kind != OWN:
        raise _unreadable(name, f"{kind!r} is none of {', '.join((*ENCODERS, OWN))}")
    for option in options:
        if option not in OPTIONS:
            raise _unreadable(name, f"{option!r} is none of {', '.join(OPTIONS)}")
        _set(section, *OPTIONS[option])
    for field in fields:
        place, separator, value = field.partition("=")
        if not separator:
            raise _unreadable(name, f"{field!r} is no field=value")
        if place in OF_ALL:
            raise _unreadable(name, "seeds are those of all models: --seeds, or auto.seeds")
        try:
            _set(section, place, strict_yaml(value))
        except (KeyError, TypeError, yaml.YAMLError):
            raise _unreadable(name, f"a model section has no field {place!r}") from None
    try:
        made = ModelConfig.model_validate(section)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ")
            for one in error.errors(include_input=False, include_url=False)
        )
        raise _unreadable(name, told) from None
    if kind == "tcn" and not any(field.startswith("layers=") for field in fields):
        return _seeing_all(made)
    return made


def _seeing_all(section: ModelConfig) -> ModelConfig:
    """With levels enough that the last step sees `max_steps`, as every recurrent encoder does.

    By models/encoders/tcn.py L levels see 1 + 2 (kernel_size - 1)(2^L - 1) steps. The layers
    of a recurrent study would have it judged by the last few steps of a record.
    """
    reach = 2 * (section.encoder.kernel_size - 1)
    levels = next(
        (
            level
            for level in range(section.layers, MOST_LEVELS)
            if 1 + reach * (2**level - 1) >= section.max_steps
        ),
        MOST_LEVELS,
    )
    return section.model_copy(update={"layers": levels})


def _set(section: dict[str, Any], place: str, value: Any) -> None:
    *outer, last = place.split(".")
    inner = section
    for part in outer:
        inner = inner[part]
    # An encoder's options were left out with the kind that they belonged to.
    known = EncoderConfig.model_fields if outer == ["encoder"] else inner
    if last not in known:
        raise KeyError(place)
    inner[last] = value


def _unreadable(name: str, cause: str) -> StudyInvalid:
    return StudyInvalid(
        f"The model {name!r} cannot be tried: {cause}.",
        where="--models",
        remedy="Give encoders, as in lstm,gru+decay,lstm:hidden_size=64; docs/comparison.md says "
        "what a name may hold.",
    )


def seeds_of(words: str) -> tuple[int, ...]:
    """The seeds of `0,1,2`.

    Raises:
        StudyInvalid: they are no different numbers from 0 upwards.
    """
    try:
        seeds = tuple(int(word) for word in words.split(","))
    except ValueError:
        seeds = ()
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise StudyInvalid(
            f"The seeds {words!r} cannot be used: they are no different numbers from 0 upwards.",
            where="--seeds",
            remedy="Give them with commas between them, as in 0,1,2.",
        )
    return seeds
