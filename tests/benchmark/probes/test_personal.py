"""Features of calibrated people, against scikit-learn and plain loops over windows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from benchmark.execution.assemble import make_datamodule
from benchmark.probes.catalogue import PROBES
from benchmark.probes.fit import _columns, fit_probe, window_features
from datamodules.adapting import PRIOR
from datamodules.datamodule import EmotionDataModule
from datamodules.fold import Grid, Part

OPTIONS = {"synthetic": {"n_subjects": 4, "phase": 180.0}}
PARTS: dict[Part, Grid] = {"train": "segments", "test": "units"}


def module_of(workshop: Any, model: str, calibration: str) -> EmotionDataModule:
    run = workshop.plan([model], options=OPTIONS, recipes={}, calibrations=(calibration,))[1]
    module = make_datamodule(run, workshop.places(Path("none")))
    module.prepare_data()
    module.setup()
    return module


def measured(module: EmotionDataModule, windows: Any) -> np.ndarray:
    return window_features(module.fold.archive, windows, module.signals, None).astype(np.float64)


@pytest.mark.parametrize("part", PARTS)
def test_whole_is_a_standard_scaler_of_each_person(workshop: Any, part: Part) -> None:
    module = module_of(workshop, "lda", "whole")
    columns, units = _columns(PROBES["lda"], module, part), module.fold.grids["units"]
    windows, table = module.fold.grids[PARTS[part]], measured(module, units)
    rows = module.fold.rows_of(PARTS[part], part)
    features = measured(module, windows)[rows]
    assert len(np.unique(windows.subject[rows])) > (part == "train")
    for subject in np.unique(windows.subject[rows]):
        scaler = StandardScaler().fit(table[units.subject == subject])
        of_person = windows.subject[rows] == subject
        assert columns[of_person] == pytest.approx(scaler.transform(features[of_person]), abs=1e-6)


@pytest.mark.parametrize("part", PARTS)
def test_unlabelled_sees_the_units_that_have_ended(workshop: Any, part: Part) -> None:
    module = module_of(workshop, "lda", "unlabelled")
    columns, fold = _columns(PROBES["lda"], module, part), module.fold
    units, windows = fold.grids["units"], fold.grids[PARTS[part]]
    table, everything = measured(module, units), measured(module, windows)
    training = measured(module, fold.grids["segments"])[fold.rows_of("segments", "train")]
    mean, square = training.mean(axis=0), (training**2).mean(axis=0)
    counts = set()
    for place, row in enumerate(fold.rows_of(PARTS[part], part)):
        end = windows.start[row] + windows.length
        ended = [
            table[unit]
            for unit in range(len(units))
            if units.subject[unit] == windows.subject[row]
            and units.start[unit] + units.length <= end + 1e-6
        ]
        n = len(ended)
        m = (PRIOR * mean + np.sum(ended, axis=0)) / (PRIOR + n)
        s = (PRIOR * square + np.sum(np.square(ended), axis=0)) / (PRIOR + n)
        std = np.sqrt(s - m**2)
        std[std <= 1e-6 * np.abs(m)] = 1.0
        assert columns[place] == pytest.approx((everything[row] - m) / std, rel=1e-4, abs=1e-4)
        counts.add(n)
    assert len(counts) > 4


def test_a_baseline_shifts_people_to_a_common_level(workshop: Any) -> None:
    module = module_of(workshop, "lda", "baseline:1")
    fold = module.fold
    resting = fold.resting_windows
    at_rest = measured(module, resting)
    level = np.array([at_rest[resting.subject == s].mean(axis=0) for s in range(4)])
    shifted = {}
    for part, grid in PARTS.items():
        rows, windows = fold.rows_of(grid, part), fold.grids[grid]
        shifted[part] = measured(module, windows)[rows] - level[windows.subject[rows]]
    std = shifted["train"].std(axis=0)
    std[std <= 1e-6 * np.abs(shifted["train"].mean(axis=0))] = 1.0
    for part in PARTS:
        columns = _columns(PROBES["lda"], module, part)
        assert columns == pytest.approx(shifted[part] / std, abs=1e-6)


def test_windows_themselves_are_scaled_as_networks_have_them(workshop: Any) -> None:
    for calibration in ("baseline:1", "unlabelled", "whole"):
        module = module_of(workshop, "minirocket", calibration)
        windows = _columns(PROBES["minirocket"], module, "test")
        scaling = module.fold.personal_scaling(module.windows("test"))
        raw = _columns(PROBES["minirocket"], module_of(workshop, "minirocket", "none"), "test")
        kept = np.flatnonzero(
            np.isin(
                module_of(workshop, "minirocket", "none").windows("test").start,
                module.windows("test").start,
            )
        )
        for name, samples in windows[:].items():
            mean, std = scaling.mean[name].numpy(), scaling.std[name].numpy()
            expected = (raw[:][name][kept] - mean) / std
            assert samples == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("model", ["majority", "prior", "time"])
def test_blind_probes_are_as_they_were(workshop: Any, model: str) -> None:
    plain = module_of(workshop, model, "none")
    expected = fit_probe(PROBES[model], plain, 0).predict(plain)
    for calibration in ("unlabelled", "whole"):
        module = module_of(workshop, model, calibration)
        assert np.array_equal(fit_probe(PROBES[model], module, 0).predict(module), expected)
