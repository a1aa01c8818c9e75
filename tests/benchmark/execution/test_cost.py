"""Multiply-accumulates against closed forms and another way of counting; what is timed, and how."""

import copy
import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.execution import cost as efficiency
from benchmark.execution.cost import FORMULAS, REPEATS, WARM_UP, count_macs, measure
from datamodules.batch import LENGTH, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.catalogue import MODELS
from lightning_modules.recipe import Recipe

SIGNALS = {"eeg": (3, 32.0), "eda": (1, 8.0), "bvp": (1, 32.0), "temp": (1, 4.0)}
NAMES = {"eeg": ("F3", "F4", "Cz")}
MASK = {LENGTH: SignalSpec(1, 1, 1 / 3600)}


class Single(nn.Module):
    """One layer on one signal."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, signals):
        (window,) = signals.values()
        return self.layer(window)


class Attention(nn.Module):
    """Scaled dot-product attention of all steps to the first seven, in four heads."""

    def forward(self, window):
        heads = window.unflatten(2, (4, 6)).transpose(1, 2)  # (1, 4, 10, 6)
        first = heads[:, :, :7]
        return nn.functional.scaled_dot_product_attention(heads, first, first)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(24, 5), (1, 10, 24), 10 * 24 * 5),
        (nn.Linear(24, 5, bias=False), (1, 10, 24), 10 * 24 * 5),
        (nn.Conv1d(10, 7, 5, stride=2), (1, 10, 24), 10 * 7 * 5 * 10),
        (nn.Conv1d(10, 20, 3, padding=1, groups=10), (1, 10, 24), 20 * 3 * 24),
        (nn.Conv2d(3, 8, (3, 2)), (1, 3, 9, 11), 3 * 8 * 3 * 2 * 7 * 10),
        (nn.LSTM(24, 16, batch_first=True), (1, 10, 24), 10 * 4 * 16 * (24 + 16)),
        (
            nn.LSTM(24, 16, num_layers=2, bidirectional=True, bias=False),
            (10, 1, 24),
            2 * 10 * 4 * 16 * (24 + 16 + 32 + 16),
        ),
        (nn.GRU(24, 16, batch_first=True), (1, 10, 24), 10 * 3 * 16 * (24 + 16)),
        (Attention(), (1, 10, 24), 4 * (10 * 7 * 6 + 10 * 7 * 6)),
        (nn.Sequential(nn.BatchNorm1d(10), nn.ReLU(), nn.MaxPool1d(2)), (1, 10, 24), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_multiply_accumulates_have_a_closed_form(layer, shape, expected):
    network = Single(layer).eval()
    assert count_macs(network, {"eda": torch.randn(shape)}) == expected


def inputs_of(model):
    """Return windows of 30 s, or skip a model that refuses them with a reason."""
    try:
        chosen = MODELS[model].choose_signals(SIGNALS)
        inputs = {
            s: SignalSpec(SIGNALS[s][0], int(30 * SIGNALS[s][1]), SIGNALS[s][1], NAMES.get(s, ()))
            for s in chosen
        }
        MODELS[model].check_inputs(inputs)
    except IncompatibleRunError as error:
        pytest.skip(str(error))
    return inputs


@pytest.mark.parametrize("model", MODELS)
def test_fused_operators_count_as_what_they_are_made_of(model):
    """On the meta device torch does without them, so that its own formulas are enough."""
    inputs = inputs_of(model)
    network = MODELS[model](inputs, 3).network.eval()
    found = count_macs(network, efficiency.draw_window(inputs))
    parts = {s: torch.empty(1, p.n_channels, p.n_times, device="meta") for s, p in inputs.items()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta")(parts)
    assert found == counter.get_total_flops() // 2 > 0
    assert not set(FORMULAS) & set(counter.get_flop_counts()["Global"])


class Watched(nn.Module):
    """Writes down how it is called."""

    calls = []

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, signals):
        self.calls.append((self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        self.seen = signals
        embedding = self.dropout(self.norm(signals["eda"].flatten(1)))
        return Output(self.layer(embedding), embedding)


class WatchedModel(EmotionClassifier):
    def __init__(self):
        super().__init__(Watched(), 2, Recipe(source="this test"))


@pytest.fixture
def clock(monkeypatch):
    """A clock on which every window takes as many seconds as the list says, then 0.01."""
    Watched.calls.clear()
    durations = []
    ticks = [0.0]

    def perf_counter():
        return ticks[0]

    forward = Watched.forward

    def slow(self, signals):
        timed = len(Watched.calls) - WARM_UP - 1  # one call counts multiply-accumulates
        ticks[0] += durations[timed] if 0 <= timed < len(durations) else 0.01
        return forward(self, signals)

    monkeypatch.setattr(Watched, "forward", slow)
    monkeypatch.setattr(efficiency.time, "perf_counter", perf_counter)
    return durations


EDA = {"eda": SignalSpec(2, 3, 1.0)}


def test_the_median_of_few_slow_windows(clock):
    clock += [9.0, 1.0, 3.0, 2.0, 8.0]
    found = measure(WatchedModel(), EDA, "cpu")
    assert found.cpu_latency_ms == found.latency_ms == pytest.approx(3000.0)
    assert len(Watched.calls) == 1 + WARM_UP + REPEATS[0]


def test_no_more_fast_windows_than_needed(clock):
    measure(WatchedModel(), EDA, "cpu")
    assert len(Watched.calls) == 1 + WARM_UP + REPEATS[1]


def test_windows_stop_when_the_time_is_up(clock):
    clock += [0.06] * 30
    measure(WatchedModel(), EDA, "cpu")
    assert len(Watched.calls) == 1 + WARM_UP + 9  # 9 * 0.06 s are the first to exceed 0.5 s


def test_windows_are_timed_in_eval_mode_without_gradients_on_one_thread(clock):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        measure(WatchedModel(), EDA, "cpu")
        assert set(Watched.calls[1:]) == {(False, False, 1)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_counts_and_costs_of_a_small_model():
    model = WatchedModel()
    model.network.norm.requires_grad_(False)
    found = measure(model, EDA, "cpu")
    assert (found.parameters, found.macs) == (6 * 2 + 2, 6 * 2)
    assert dataclasses.is_dataclass(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.macs = 1


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("model", ["attention_lrcn", "emotionkd_student", "cnn_lstm"])
def test_nothing_of_the_model_changes(model, training):
    inputs = inputs_of(model)
    module = MODELS[model](inputs, 3).train(training)
    next(module.network.children()).train(not training)
    modes = [part.training for part in module.modules()]
    state = copy.deepcopy(module.state_dict())
    random = torch.get_rng_state()
    tensors = [id(p) for p in module.parameters()]
    measure(module, inputs, "cpu")
    assert [part.training for part in module.modules()] == modes
    torch.testing.assert_close(module.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random)
    assert [id(p) for p in module.parameters()] == tensors
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert all(p.device.type == "cpu" for p in module.parameters())


def test_a_mask_says_that_all_is_recorded():
    inputs = {"eeg_de": SignalSpec(310, 10, 0.25)}
    plain, masked = MODELS["dnn"](inputs, 3), MODELS["dnn"]({**inputs, **MASK}, 3)
    assert efficiency.draw_window({**inputs, **MASK})[LENGTH].tolist() == [[[1.0]]]
    for model, taken in ((plain, inputs), (masked, {**inputs, **MASK})):
        found = measure(model, taken, "cpu")
        assert found.parameters == sum(p.numel() for p in plain.parameters())
        assert found.macs == 10 * (310 * 128 + 128 * 128) + 128 * 128 + 128 * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", MODELS)
def test_a_gpu_counts_the_same(model):
    inputs = inputs_of(model)
    module = MODELS[model](inputs, 3)
    here = measure(module, inputs, "cpu")
    there = measure(module.cuda(), inputs, "cuda")
    assert (here.parameters, here.macs) == (there.parameters, there.macs)
    assert there.latency_ms > 0
    assert there.latency_ms != there.cpu_latency_ms
    assert all(p.is_cuda for p in module.parameters())
