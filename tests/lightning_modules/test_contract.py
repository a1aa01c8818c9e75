"""What every model of the catalogue must do, on whatever signals a dataset can offer."""

import importlib
import inspect
from pathlib import Path

import pytest
import torch

import lightning_modules
from datamodules import DATAMODULES
from datamodules.batch import Batch, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules import MODELS
from lightning_modules.base import EmotionClassifier, Recipe

OFFERS = {
    **{name: module.signals for name, module in DATAMODULES.items()},
    "eeg and peripheral, 128 Hz, 4 s": {"eeg": (8, 128.0), "eda": (1, 128.0), "resp": (1, 128.0)},
    "eeg features, 10 rows": {"eeg_de": (310, 0.25), "eye": (33, 0.25)},
    "skin conductance, 120 s": {"eda": (1, 50.0)},
}
SECONDS = {"eeg and peripheral, 128 Hz, 4 s": 4.0, "eeg features, 10 rows": 40.0}


def inputs_of(model, offer):
    """What the model takes of an offer; skips where it says why it cannot."""
    signals = OFFERS[offer]
    seconds = 60.0 if offer in DATAMODULES else SECONDS.get(offer, 120.0)
    try:
        chosen = MODELS[model].choose_signals(signals)
        inputs = {
            name: SignalSpec(signals[name][0], round(seconds * signals[name][1]), signals[name][1])
            for name in chosen
        }
        MODELS[model].check_inputs(inputs)
    except IncompatibleRunError as error:
        pytest.skip(f"not applicable: {error}")
    return inputs


def batch_of(inputs, n_windows, n_classes=2):
    torch.manual_seed(0)
    target = torch.arange(n_windows) % n_classes
    signals = {
        name: torch.randn(n_windows, spec.n_channels, spec.n_times) + target[:, None, None]
        for name, spec in inputs.items()
    }
    return Batch(signals, target, torch.zeros(n_windows).long(), torch.zeros(n_windows).long())


def built(model, inputs, n_classes=2):
    torch.manual_seed(1)
    return MODELS[model](inputs, n_classes)


def test_every_model_of_the_shelf_is_in_the_catalogue():
    found = set()
    for path in sorted(Path(lightning_modules.__file__).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"lightning_modules.{path.stem}")
        found |= {
            kind
            for _, kind in inspect.getmembers(module, inspect.isclass)
            if issubclass(kind, EmotionClassifier)
            and kind.__module__ == module.__name__
            and "inputs" in inspect.signature(kind).parameters
        }
    assert found == set(MODELS.values())


@pytest.mark.parametrize("model", MODELS)
def test_both_recipes_are_there_and_say_where_they_are_from(model):
    for recipe in (MODELS[model].published, MODELS[model].fast):
        assert isinstance(recipe, Recipe)
        assert recipe.source


@pytest.mark.parametrize("model", MODELS)
def test_every_dataset_has_what_every_model_takes(model):
    takers = [name for name, module in DATAMODULES.items() if _takes(model, module.signals)]
    assert takers == list(DATAMODULES)


def _takes(model, signals):
    try:
        return bool(MODELS[model].choose_signals(signals))
    except IncompatibleRunError:
        return False


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("model", MODELS)
def test_forward_backward_and_a_batch_of_one(model, offer, n_classes):
    inputs = inputs_of(model, offer)
    module = built(model, inputs, n_classes)
    batch = batch_of(inputs, 6, n_classes)
    module.train()
    loss, logits = module.loss(batch)
    assert logits.shape == (6, n_classes)
    assert torch.isfinite(loss)
    loss.backward()
    used = [p.grad is not None for p in module.parameters() if p.requires_grad]
    assert all(used)
    module.eval()
    with torch.inference_mode():
        output = module({name: window[:1] for name, window in batch.signals.items()})
    assert output.logits.shape == (1, n_classes)
    assert output.embedding.shape[0] == 1
    assert output.embedding.ndim == 2
    assert torch.isfinite(output.logits).all()


@pytest.mark.parametrize("model", MODELS)
def test_training_lowers_the_loss(model):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs)
    batch = batch_of(inputs, 8)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss, _ = module.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[4:]) < losses[0]


@pytest.mark.parametrize("model", MODELS)
def test_constant_signals_give_no_nan(model):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs)
    zeros = {s: torch.zeros(4, p.n_channels, p.n_times) for s, p in inputs.items()}
    batch = batch_of(inputs, 4)._replace(signals=zeros)
    for mode in (True, False):
        loss, logits = module.train(mode).loss(batch)
        assert torch.isfinite(loss)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("model", MODELS)
def test_windows_of_a_batch_do_not_touch_each_other_in_eval(model):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs).eval()
    batch = batch_of(inputs, 4)
    with torch.inference_mode():
        together = module(batch.signals).logits
        alone = module({name: window[2:3] for name, window in batch.signals.items()}).logits
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_checkpoint_round_trip_without_trusting_the_file(model, tmp_path):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs).eval()
    checkpoint = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": "2.6.6",
    }
    torch.save(checkpoint, tmp_path / "model.ckpt")
    again = MODELS[model].load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    batch = batch_of(inputs, 2)
    with torch.inference_mode():
        assert torch.equal(module(batch.signals).logits, again(batch.signals).logits)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", MODELS)
def test_cpu_and_gpu_agree(model):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs).eval()
    batch = batch_of(inputs, 4)
    with torch.inference_mode():
        here = module(batch.signals).logits
        there = module.cuda()({name: x.cuda() for name, x in batch.signals.items()}).logits.cpu()
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)
