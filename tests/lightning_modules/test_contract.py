"""What every model of the catalogue must do, on whatever signals a dataset can offer."""

import importlib
import inspect
from pathlib import Path

import pytest
import torch

import lightning_modules
from datamodules.batch import LENGTH, Batch, SignalSpec
from datamodules.catalogue import DATAMODULES
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Recipe
from lightning_modules.catalogue import MODELS
from lightning_modules.seedv_study import RowClassifier

OFFERS = {
    **{name: module.signals for name, module in DATAMODULES.items()},
    "eeg and peripheral, 128 Hz, 4 s": {"eeg": (8, 128.0), "eda": (1, 128.0), "resp": (1, 128.0)},
    "eeg features, 10 rows": {"eeg_de": (310, 0.25), "eye": (33, 0.25)},
    "skin conductance, 120 s": {"eda": (1, 50.0)},
}
SECONDS = {"eeg and peripheral, 128 Hz, 4 s": 4.0, "eeg features, 10 rows": 40.0}
MASK = {LENGTH: SignalSpec(1, 1, 1 / 3600)}
RATES = (0.25, 1.0, 4.0, 128.0, 1000.0)
WINDOWS = {
    "ten samples": lambda sfreq: 10 / sfreq,
    "10 s": lambda sfreq: 10.0,
    "120 s": lambda sfreq: 120.0,
}
SHAPES = ((1, 2), (2, 3), (32, 4))
"""Channels of each signal, and classes; offers are tried with five."""


def inputs_of(model, offer):
    """What the model takes of an offer; skips where it says why it cannot."""
    signals = OFFERS[offer]
    seconds = 60.0 if offer in DATAMODULES else SECONDS.get(offer, 120.0)
    try:
        chosen = MODELS[model].choose_signals(signals)
        inputs = {}
        for name in chosen:
            n_channels, sfreq = signals[name]
            inputs[name] = SignalSpec(n_channels, max(1, round(seconds * sfreq)), sfreq)
        MODELS[model].check_inputs(inputs)
    except IncompatibleRunError as error:
        pytest.skip(f"not applicable: {error}")
    return inputs


def refusal(model, inputs):
    """Why a model does not take these inputs; empty if it does."""
    try:
        MODELS[model].check_inputs(inputs)
    except IncompatibleRunError as error:
        return str(error)
    return ""


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
    assert found - {RowClassifier} == set(MODELS.values())


@pytest.mark.parametrize("model", MODELS)
def test_both_recipes_are_there_and_say_where_they_are_from(model):
    for recipe in (MODELS[model].published, MODELS[model].fast):
        assert isinstance(recipe, Recipe)
        assert recipe.source


@pytest.mark.parametrize("model", MODELS)
def test_every_dataset_has_what_every_model_takes(model):
    people = {name: module for name, module in DATAMODULES.items() if name != "noise"}
    takers = [name for name, module in people.items() if _takes(model, module.signals)]
    assert takers == list(people)


def _takes(model, signals):
    try:
        return bool(MODELS[model].choose_signals(signals))
    except IncompatibleRunError:
        return False


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("model", MODELS)
def test_forward_backward_and_a_batch_of_one(model, offer):
    inputs = inputs_of(model, offer)
    module = built(model, inputs, 5)
    batch = batch_of(inputs, 2, 5)
    module.train()
    loss, logits = module.loss(batch)
    assert logits.shape == (2, 5)
    assert torch.isfinite(loss)
    loss.backward()
    used = [p.grad is not None for p in module.parameters() if p.requires_grad]
    assert all(used)
    module.eval()
    with torch.inference_mode():
        output = module({name: window[:1] for name, window in batch.signals.items()})
    assert output.logits.shape == (1, 5)
    assert output.embedding.shape[0] == 1
    assert output.embedding.ndim == 2
    assert torch.isfinite(output.logits).all()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("sfreq", RATES)
@pytest.mark.parametrize("offer", [("eeg", "eda"), ("bvp", "ecg", "resp")])
@pytest.mark.parametrize("model", MODELS)
def test_any_rate_and_window_works_or_is_refused_with_a_reason(model, offer, sfreq, window):
    seconds = WINDOWS[window](sfreq)
    for n_channels, n_classes in SHAPES:
        spec = SignalSpec(n_channels, max(1, round(seconds * sfreq)), sfreq)
        inputs = dict.fromkeys(MODELS[model].choose_signals(offer), spec)
        if reason := refusal(model, inputs):
            assert MODELS[model].__name__ in reason
            assert spec.n_times < 10 or seconds < 0.25
            continue
        module = built(model, inputs, n_classes)
        batch = batch_of(inputs, 2, n_classes)
        with torch.no_grad():
            many = module.train()(batch.signals)
            one = module.eval()({name: x[:1] for name, x in batch.signals.items()})
        assert many.logits.shape == (2, n_classes)
        assert one.logits.shape == (1, n_classes)
        assert many.logits.isfinite().all()
        assert one.logits.isfinite().all()


@pytest.mark.parametrize("model", MODELS)
def test_a_small_step_against_the_gradient_lowers_the_loss_as_much_as_it_says(model):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs)
    batch = batch_of(inputs, 8)

    def loss():
        torch.manual_seed(2)  # the same dropout
        return module.loss(batch)[0]

    before = loss()
    before.backward()
    slopes = [p.grad for p in module.parameters() if p.grad is not None]
    expected = 1e-3 * float(before.detach())
    step = expected / sum(float(slope.square().sum()) for slope in slopes)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter -= step * parameter.grad
        assert float(before - loss()) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("model", MODELS)
def test_32_windows_of_noise_are_learned_by_heart_and_with_every_parameter(model):
    signals = {"eeg": (2, 32.0), "eda": (1, 16.0), "temp": (1, 16.0)}
    inputs = {
        name: SignalSpec(signals[name][0], round(2 * signals[name][1]), signals[name][1])
        for name in MODELS[model].choose_signals(signals)
    }
    module = built(model, inputs)
    start = {name: p.detach().clone() for name, p in module.named_parameters()}
    batch = batch_of(inputs, 32)
    batch = batch._replace(signals={name: torch.randn_like(x) for name, x in batch.signals.items()})
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for step in range(100):
        optimizer.zero_grad()
        loss, logits = module.loss(batch)
        loss.backward()
        optimizer.step()
        if step >= 20 and torch.nn.functional.cross_entropy(logits, batch.target) < 0.1:
            break
    assert [name for name, p in module.named_parameters() if torch.equal(p, start[name])] == []
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.eval()
        elif isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            # Slow running moments would take hundreds of steps.
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        module(batch.signals)
        logits = module.eval()(batch.signals).logits
    assert torch.equal(logits.argmax(dim=1), batch.target)


@pytest.mark.parametrize("level", [0.0, 7.0])
@pytest.mark.parametrize("model", MODELS)
def test_constant_signals_give_no_nan(model, level):
    inputs = inputs_of(model, "synthetic")
    module = built(model, inputs)
    constant = {s: torch.full((4, p.n_channels, p.n_times), level) for s, p in inputs.items()}
    batch = batch_of(inputs, 4)._replace(signals=constant)
    for mode in (True, False):
        loss, logits = module.train(mode).loss(batch)
        assert torch.isfinite(loss)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_mask_is_taken_or_refused_and_is_no_feature(model):
    inputs = inputs_of(model, "synthetic")
    if not MODELS[model].masks:
        with pytest.raises(IncompatibleRunError, match="takes no mask"):
            MODELS[model].check_inputs({**inputs, **MASK})
        with pytest.raises(IncompatibleRunError, match="takes no mask"):
            MODELS[model]({**inputs, **MASK}, 2)
        return
    plain, masked = built(model, inputs).eval(), built(model, {**inputs, **MASK}).eval()
    masked.load_state_dict(plain.state_dict())
    signals = batch_of(inputs, 3).signals
    with torch.inference_mode():
        whole = masked({**signals, LENGTH: torch.ones(3, 1, 1)}).logits
        half = masked({**signals, LENGTH: torch.full((3, 1, 1), 0.5)}).logits
        torch.testing.assert_close(whole, plain(signals).logits)
    assert (half - whole).abs().max() > 1e-4


def test_who_takes_a_mask():
    assert {name for name in MODELS if MODELS[name].masks} == {"dnn", "lstm", "cnn", "cnn_lstm"}


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
