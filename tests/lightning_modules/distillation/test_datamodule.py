"""Distillers on a datamodule of the catalogue, on the CPU and on a GPU."""

import pytest
import torch

from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.fold import Windowing
from datamodules.synthetic import SYNTHETIC
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.distillation.base import Teacher


@pytest.fixture
def module(tmp_path):
    options = {"n_subjects": 3, "phase": 60.0}
    made = EmotionDataModule(
        SYNTHETIC,
        selection=Selection(signals=("eda", "temp"), options=options),
        windowing=Windowing(30.0, 15.0, "none", oversample=True),
        loading=Loading(batch_size=32),
        cache_dir=tmp_path,
    )
    made.prepare_data()
    made.setup()
    return made


def parts(kind, model, module):
    inputs = dict(module.inputs)
    torch.manual_seed(0)
    student = MODELS[model]({"eda": inputs["eda"]}, module.n_classes)
    if not kind.n_teachers:
        return student, ()
    seen = {"eda": inputs["eda"]} if kind.teacher_is_student else inputs
    return student, (Teacher(MODELS[model](seen, module.n_classes), tuple(seen)),)


@pytest.mark.parametrize("name", DISTILLERS)
def test_each_is_fitted_on_training_windows(name, module, distilling):
    student, teachers = parts(DISTILLERS[name], "dnn", module)
    model = DISTILLERS[name](student, ("eda",), teachers)
    trainer = distilling.fit(model, module, 2)
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
    if teachers and name not in ("adaptive_feedback", "shuffled_teacher"):
        rows = torch.arange(len(module.windows("train")))
        with torch.no_grad():
            expected = teachers[0](module.gathered("train")[rows].signals).logits
        torch.testing.assert_close(model.teacher_logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("student", ["dnn", "lstm", "cnn_lstm"])
@pytest.mark.parametrize("name", DISTILLERS)
def test_each_is_fitted_on_a_gpu(name, student, module, distilling):
    """Recurrent networks too, whose layers have no second derivative in cuDNN."""
    own, teachers = parts(DISTILLERS[name], student, module)
    model = DISTILLERS[name](own, ("eda",), teachers)
    trainer = distilling.fit(model, module, 2, accelerator="gpu")
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
