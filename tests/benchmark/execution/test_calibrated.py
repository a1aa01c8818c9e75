"""Runs of calibrated people: a test by hand gives the numbers of the runner."""

import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from benchmark.errors import BenchmarkError
from benchmark.execution.assemble import make_datamodule
from benchmark.execution.checkpoint import load_network, load_predictor
from benchmark.execution.execute import execute
from benchmark.run import Run
from benchmark.scored import scored
from benchmark.store import Store
from datamodules.adapting import PersonalNorms

CALIBRATIONS = ("baseline:1", "unlabelled", "whole")


def run_of(workshop: Any, calibration: str, model: str = "cnn") -> Run:
    options = {"synthetic": {"n_subjects": 4, "phase": 180.0}}
    run: Run = workshop.plan([model], options=options, calibrations=(calibration,))[0]
    return run


def as_trained(self: PersonalNorms, norm: Any, call: Any, maps: Tensor) -> Tensor:
    """Normalise by the running statistics of training."""
    return batch_norm(
        maps, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )


def predicted(workshop: Any, run: Run, store: Store) -> tuple[np.ndarray, float]:
    """Predict and test by hand, with the weights that the run has kept."""
    module = make_datamodule(run, workshop.places(store.root))
    model = load_network(store.folder(run) / "model.ckpt").model
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        parts = trainer.predict(model, datamodule=module)
        (scores,) = trainer.test(model, datamodule=module, verbose=False)
    assert parts
    return torch.cat([torch.as_tensor(p) for p in parts]).numpy(), scores["test_macro_f1"]


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_by_hand_it_is_the_same(
    workshop: Any, tmp_path: Path, calibration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(workshop, calibration)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "done", result.traceback
    store = Store(tmp_path)
    kept = np.load(store.folder(run) / "predictions.npz")["probabilities"]
    probabilities, score = predicted(workshop, run, store)
    assert probabilities == pytest.approx(kept, abs=1e-6)
    once = scored(store, run)
    assert once
    assert score == pytest.approx(np.mean([s["macro_f1"] for s in once.scores.values()]), abs=1e-6)
    monkeypatch.setattr(PersonalNorms, "_by_group", as_trained)
    scaled_alone, _ = predicted(workshop, run, store)
    assert not np.allclose(scaled_alone, kept, atol=1e-4)


@pytest.mark.parametrize(("calibration", "model"), [("whole", "cnn"), ("baseline:1", "lda")])
def test_a_model_of_calibrated_people_is_not_used_on_new_recordings(
    workshop: Any, tmp_path: Path, calibration: str, model: str
) -> None:
    run = run_of(workshop, calibration, model)
    assert execute(run, workshop.places(tmp_path)).status == "done"
    with pytest.raises(BenchmarkError, match=rf"calibrated .{calibration}.*without calibration"):
        load_predictor(Store(tmp_path).folder(run))
