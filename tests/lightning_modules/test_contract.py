"""The contract of the catalogue: the properties of every model, on the signals of any dataset.

It asks nothing that a model need not promise: a model may refuse any inputs, if it says why; it
need not have a fast recipe, take a mask, or fit noise. What a particular model does beyond that is
tested beside its paper.
"""

import math

import pytest
import torch

from datamodules.batch import LENGTH, Batch, SignalSpec
from datamodules.catalogue import DATASETS
from datamodules.errors import IncompatibleRunError
from lightning_modules.catalogue import MODELS
from lightning_modules.recipe import Recipe

OFFERS = {
    **{name: module.signals for name, module in DATASETS.items()},
    "eeg and peripheral, 128 Hz, 4 s": {"eeg": (8, 128.0), "eda": (1, 128.0), "resp": (1, 128.0)},
    "eeg features, 10 rows": {"eeg_de": (310, 0.25), "eye": (33, 0.25)},
    "skin conductance, 120 s": {"eda": (1, 50.0)},
}
SECONDS = {
    "eeg and peripheral, 128 Hz, 4 s": 4.0,
    "eeg features, 10 rows": 40.0,
    "skin conductance, 120 s": 120.0,
}
SMALL_FIRST = sorted(OFFERS, key=lambda offer: offer != "synthetic")
MASK = {LENGTH: SignalSpec(1, 1, 1 / 3600)}
RATES = (0.25, 1.0, 4.0, 128.0, 1000.0)
WINDOWS = {
    "ten samples": lambda sfreq: 10 / sfreq,
    "10 s": lambda sfreq: 10.0,
    "120 s": lambda sfreq: 120.0,
}
ELECTRODES = tuple(
    f"{row}{n}" for row in ("F", "FC", "C", "CP", "P", "PO", "O") for n in range(1, 11)
)
"""Names of channels of EEG, mirrored pairs one after another."""
LONGEST = {"eegconformer": 20.0}
"""Seconds that a window of a model is cut down to here: the work of attention over its samples
grows with the square of them, and the paper's windows have four seconds."""
SHAPES = ((1, 2), (2, 3), (32, 4))
"""Channels of each signal, and classes; offers are tried with five."""


def taken(model, signals, seconds):
    """Inputs of a model on windows of some signals, and the reason if it refuses them."""
    inputs = {}
    seconds = min(seconds, LONGEST.get(model, math.inf))
    try:
        for name in MODELS[model].choose_signals(signals):
            n_channels, sfreq = signals[name]
            channels = ELECTRODES[:n_channels] if name == "eeg" else ()
            inputs[name] = SignalSpec(n_channels, max(1, round(seconds * sfreq)), sfreq, channels)
        MODELS[model].check_inputs(inputs)
    except IncompatibleRunError as error:
        return {}, str(error)
    return inputs, ""


def any_inputs(model):
    """Inputs of the model on the first offer that it takes."""
    for offer in SMALL_FIRST:
        inputs, reason = taken(model, OFFERS[offer], SECONDS.get(offer, 60.0))
        if not reason:
            return inputs
    return pytest.fail(f"{model} takes the signals of no dataset")


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


@pytest.mark.parametrize("model", MODELS)
def test_recipes_say_where_they_are_from(model):
    recipes = [MODELS[model].published]
    if hasattr(MODELS[model], "fast"):
        recipes.append(MODELS[model].fast)
    by_dataset = getattr(MODELS[model], "published_on", {})
    assert set(by_dataset) <= set(DATASETS)
    assert MODELS[model].published not in by_dataset.values()
    recipes += by_dataset.values()
    for recipe in recipes:
        assert isinstance(recipe, Recipe)
        assert recipe.source


@pytest.mark.parametrize("model", MODELS)
def test_some_dataset_has_the_signals_that_a_model_takes(model):
    takers = []
    for name, module in DATASETS.items():
        inputs, reason = taken(model, module.signals, 60.0)
        assert set(inputs) <= set(module.signals)
        assert bool(inputs) != (MODELS[model].__name__ in reason)
        takers += [name] if inputs else []
    assert takers


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("model", MODELS)
def test_forward_backward_and_a_batch_of_one(model, offer):
    inputs, reason = taken(model, OFFERS[offer], SECONDS.get(offer, 60.0))
    if reason:
        assert MODELS[model].__name__ in reason
        return
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
@pytest.mark.parametrize("signals", [("eeg", "eda"), ("bvp", "ecg", "resp"), ("ecg",)])
@pytest.mark.parametrize("model", MODELS)
def test_any_rate_and_window_works_or_is_refused_with_a_reason(model, signals, sfreq, window):
    seconds = WINDOWS[window](sfreq)
    for n_channels, n_classes in SHAPES:
        inputs, reason = taken(model, dict.fromkeys(signals, (n_channels, sfreq)), seconds)
        if reason:
            assert MODELS[model].__name__ in reason
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
    inputs = any_inputs(model)
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


@pytest.mark.parametrize("level", [0.0, 7.0])
@pytest.mark.parametrize("model", MODELS)
def test_constant_signals_give_no_nan(model, level):
    inputs = any_inputs(model)
    module = built(model, inputs)
    constant = {s: torch.full((4, p.n_channels, p.n_times), level) for s, p in inputs.items()}
    batch = batch_of(inputs, 4)._replace(signals=constant)
    for mode in (True, False):
        loss, logits = module.train(mode).loss(batch)
        assert torch.isfinite(loss)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_mask_is_taken_or_refused_and_is_no_feature(model):
    inputs = any_inputs(model)
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
        all_recorded = masked({**signals, LENGTH: torch.ones(3, 1, 1)}).logits
        half_recorded = masked({**signals, LENGTH: torch.full((3, 1, 1), 0.5)}).logits
        torch.testing.assert_close(all_recorded, plain(signals).logits)
    assert (half_recorded - all_recorded).abs().max() > 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_windows_of_a_batch_do_not_touch_each_other_in_eval(model):
    inputs = any_inputs(model)
    module = built(model, inputs).eval()
    batch = batch_of(inputs, 4)
    with torch.inference_mode():
        together = module(batch.signals).logits
        alone = module({name: window[2:3] for name, window in batch.signals.items()}).logits
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_checkpoint_round_trip_without_trusting_the_file(model, tmp_path):
    inputs = any_inputs(model)
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
    inputs = any_inputs(model)
    module = built(model, inputs).eval()
    batch = batch_of(inputs, 4)
    with torch.inference_mode():
        cpu = module(batch.signals).logits
        gpu = module.cuda()({name: x.cuda() for name, x in batch.signals.items()}).logits.cpu()
    torch.testing.assert_close(cpu, gpu, rtol=1e-4, atol=1e-4)
