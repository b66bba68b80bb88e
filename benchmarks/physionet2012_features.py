"""What an intensivist computes of a chart besides its channels, by hour of the stay.

Blood pressure is one quantity, measured in an artery or by a cuff; oxygen in the blood means
something beside the oxygen breathed. Per quantity: mean, minimum, maximum and last of the whole
stay, of its first day and of its last 12 hours. Then urine, and hours on the ventilator.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.store import SequenceStore

HOURS = 48
WINDOWS = {"stay": slice(0, None), "first_day": slice(0, 25), "last_12_hours": slice(37, None)}

Floats = npt.NDArray[np.float64]


def derived_features(store: SequenceStore) -> tuple[tuple[str, ...], Floats]:
    """Names [K] and columns [E, K]; NaN where nothing was observed. Steps are whole hours."""
    hourly = _hourly(store)
    columns = dict(_of_quantities(hourly)) | dict(_of_flows(hourly))
    table = np.stack(list(columns.values()), axis=1)
    return tuple(columns), np.where(np.isfinite(table), table, np.nan)


def _hourly(store: SequenceStore) -> dict[str, Floats]:
    """Per channel [E, 49] what is known at the end of each hour; NaN where nothing is."""
    example = np.repeat(np.arange(len(store)), np.diff(store.step_offsets))  # [S]
    step = np.repeat(np.arange(len(example)), np.diff(store.observation_offsets))  # [O]
    days = np.asarray(store.step_days, np.float64)[step]  # 0 at hour 48, negative before
    hour = np.clip(np.rint(days * 24 + HOURS), 0, HOURS).astype(np.int64)
    cells = np.full((len(store.channels), len(store), HOURS + 1), np.nan)
    cells[store.observation_channel, example[step], hour] = store.observation_value
    return {channel.code: cells[i] for i, channel in enumerate(store.channels)}


def _of_quantities(hourly: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    for name, values in _quantities(hourly).items():
        for window, hours in WINDOWS.items():
            part = values[:, hours]
            seen = np.isfinite(part)
            with np.errstate(invalid="ignore"):  # none seen: 0 / 0 is NaN, as it should be
                yield (
                    f"{name}_mean_{window}",
                    np.where(seen, part, 0).sum(axis=1) / seen.sum(axis=1),
                )
            yield f"{name}_minimum_{window}", np.fmin.reduce(part, axis=1)
            yield f"{name}_maximum_{window}", np.fmax.reduce(part, axis=1)
            yield f"{name}_last_{window}", _carried(part)[:, -1]


def _quantities(hourly: dict[str, Floats]) -> dict[str, Floats]:
    """[E, 49] each; a ratio is of the last values known, so it is there once both are."""

    def either(arterial: str, cuff: str) -> Floats:
        return np.where(np.isnan(hourly[arterial]), hourly[cuff], hourly[arterial])

    known = {code: _carried(values) for code, values in hourly.items()}
    systolic, diastolic = either("SysABP", "NISysABP"), either("DiasABP", "NIDiasABP")
    with np.errstate(invalid="ignore", divide="ignore"):
        shock = known["HR"] / _carried(systolic)
        oxygenation = known["PaO2"] / known["FiO2"]
        urea_ratio = known["BUN"] / known["Creatinine"]
    return {
        "mean_pressure": either("MAP", "NIMAP"),
        "systolic_pressure": systolic,
        "diastolic_pressure": diastolic,
        "pulse_pressure": systolic - diastolic,
        "shock_index": shock,
        "oxygenation": oxygenation,
        "urea_ratio": urea_ratio,
        "anion_gap": known["Na"] - known["HCO3"],
        "coma_score": known["GCS"],
    }


def _of_flows(hourly: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    for hours in (HOURS, 24, 12):
        total = np.asarray(np.nansum(hourly["Urine"][:, -hours:], axis=1), dtype=np.float64)
        yield f"urine_{hours}_hours", np.log1p(total)
    ventilated = ~np.isnan(hourly["MechVent"])
    yield "ventilated_hours", ventilated.sum(axis=1).astype(np.float64)
    for hours in (24, 12):
        yield (
            f"ventilated_{hours}_hours",
            np.asarray(ventilated[:, -hours:].any(axis=1), dtype=np.float64),
        )


def _carried(values: Floats) -> Floats:
    """[E, H] each hour's value, or where there is none the last one before it."""
    hour = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    return np.take_along_axis(values, np.maximum.accumulate(hour, axis=1), axis=1)
