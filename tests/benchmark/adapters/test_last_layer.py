"""The last layer against gradients by hand, and that it is found in every network."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.adapters.last_layer import RATE, STEPS, last_layer, layer_of
from benchmark.adapters.person import Seen, Trained
from datamodules.batch import SignalSpec
from datamodules.catalogue import DATASETS
from datamodules.errors import IncompatibleRunError
from lightning_modules.catalogue import MODELS

SECONDS = 12.0


def seen(rng, target):
    columns = rng.normal(size=(len(target), 4))
    probabilities = np.full((len(target), 2), 0.5)
    return Seen(columns, probabilities, np.array(target), np.zeros(len(target), int))


def by_hand(weight, bias, columns, target):
    """Adam on mean cross-entropy, written out."""
    values = [weight.copy(), bias.copy()]
    first, second = ([np.zeros_like(v) for v in values] for _ in range(2))
    for step in range(1, STEPS + 1):
        logits = columns @ values[0].T + values[1]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(len(target)), target] -= 1
        gradients = [shares.T @ columns / len(target), shares.mean(axis=0)]
        for place, gradient in enumerate(gradients):
            first[place] = 0.9 * first[place] + 0.1 * gradient
            second[place] = 0.999 * second[place] + 0.001 * gradient**2
            mean, spread = first[place] / (1 - 0.9**step), second[place] / (1 - 0.999**step)
            values[place] = values[place] - RATE * mean / (np.sqrt(spread) + 1e-8)
    return values


def test_it_is_adam_from_the_kept_weights():
    rng = np.random.default_rng(0)
    layer = nn.Linear(4, 2)
    kept = [values.detach().double().numpy().copy() for values in (layer.weight, layer.bias)]
    trained = Trained(2, np.full(2, 0.5), 5.0, lambda: None, 0, layer=layer)
    minutes, tested = seen(rng, [0, 1, 1, 0, 1]), seen(rng, [0, 1, 0])
    answers = last_layer(trained, minutes, tested)
    weight, bias = by_hand(*kept, minutes.columns, minutes.target)
    logits = tested.columns @ weight.T + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert answers == pytest.approx(expected, abs=1e-5)
    assert (layer.weight.detach().double().numpy() == kept[0]).all()  # the next person starts anew
    assert (last_layer(trained, minutes, tested) == answers).all()


@pytest.mark.parametrize("target", [[0, 0, 0], []])
def test_one_class_or_none_changes_nothing(target):
    rng = np.random.default_rng(0)
    trained = Trained(2, np.full(2, 0.5), 5.0, lambda: None, 0, layer=nn.Linear(4, 2))
    tested = seen(rng, [0, 1, 0])
    assert (last_layer(trained, seen(rng, target), tested) == tested.probabilities).all()


def inputs_of(model):
    """Signals that a model takes of the first dataset whose windows it takes."""
    for dataset in DATASETS.values():
        try:
            names = MODELS[model].choose_signals(dataset.signals)
            inputs = {}
            for name in names:
                n_channels, sfreq = dataset.signals[name]
                n_times = max(1, round(SECONDS * sfreq))
                channels = tuple(f"F{number}" for number in range(1, n_channels + 1))
                inputs[name] = SignalSpec(n_channels, n_times, sfreq, channels)
            MODELS[model].check_inputs(inputs)
        except IncompatibleRunError:
            continue
        return inputs
    raise AssertionError(model)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_found_in_every_network(name):
    inputs = inputs_of(name)
    model = MODELS[name](inputs, 3, recipe=MODELS[name].published).eval()
    signals = {n: torch.randn(2, spec.n_channels, spec.n_times) for n, spec in inputs.items()}
    layer = layer_of(model, signals)
    assert layer is not None
    output = model(signals)
    assert torch.allclose(layer(output.embedding), output.logits, atol=1e-5)
