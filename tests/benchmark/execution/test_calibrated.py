"""Runs of calibrated people: a test by hand gives the numbers of the runner."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from datamodules.catalogue import DATASETS
from datamodules.signals.recording import Recording
from datamodules.synthetic import SYNTHETIC, SyntheticReader

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


@dataclass(frozen=True)
class LaterReader(SyntheticReader):
    """The same people, whose recordings are others from a moment on."""

    def read(self, subject: str) -> Iterator[Recording]:
        for recording in super().read(subject):
            if subject == LATER:
                for signal in recording.signals.values():
                    signal.samples[:, round(MOMENT * signal.sfreq) :] *= 3
            yield recording


LATER, MOMENT = "S1", 700.0


@pytest.mark.parametrize("model", ["cnn_lstm", "lda"])
@pytest.mark.parametrize("calibration", ["unlabelled", "whole"])
def test_what_a_tested_person_does_later_has_no_say(
    workshop: Any, tmp_path: Path, calibration: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of samples as recorded; the whole recording, which is transductive, shows that it would."""
    answers = []
    for reader in (SyntheticReader, LaterReader):
        dataset = replace(SYNTHETIC, reader=reader)
        monkeypatch.setitem(DATASETS, "synthetic", dataset)
        run = next(
            run
            for run in workshop.plan(
                [model],
                options={"synthetic": {"n_subjects": 4, "phase": 180.0}},
                calibrations=(calibration,),
                signals=("eda", "temp"),
                recipes={"cnn_lstm": {"max_epochs": 1, "window": 30.0, "stride": 30.0}},
            )
            if run.protocol.splitting.people(run.subjects, run.protocol.dealing(run.fold, 0))
            == [LATER]
        )
        result = execute(run, workshop.places(tmp_path))
        assert result.status == "done", result.traceback
        answers.append(Store(tmp_path).predictions(run))
    one, other = answers
    ended = one["start"] + (60.0 if model == "lda" else 30.0) <= MOMENT
    assert 0 < ended.sum() < len(ended)
    equal = np.isclose(one["probabilities"], other["probabilities"], atol=1e-6).all(axis=1)
    assert equal[ended].all() == (calibration == "unlabelled")
    assert not equal[~ended].all()


def test_a_run_whose_windows_would_reach_into_the_test_is_refused(
    workshop: Any, tmp_path: Path
) -> None:
    """By hand: windows of two score units, the first of which a baseline may hold."""
    run = run_of(workshop, "baseline:1")
    longer = replace(run, window=120.0, recipe=replace(run.recipe, window=120.0))
    result = execute(longer, workshop.places(tmp_path))
    assert result.status == "failed"
    assert "expected windows of at most 60 s" in result.error
