"""Scale: the device, and how much work is done on it."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from datamodules.batch import Batch, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS

SIGNALS = {
    "bvp": (1, 64.0),
    "eda": (1, 4.0),
    "temp": (1, 4.0),
    "resp": (1, 32.0),
    "ecg": (1, 128.0),
    "eeg": (14, 128.0),
    "eeg_de": (310, 0.25),
}
"""Channels and rate in Hz of the signals that networks are given here."""
NAMES = {"eeg": tuple(f"F{number}" for number in range(1, 15))}
"""Names of channels."""
LONGEST = 60.0
"""Seconds of a window at most, as most score units have."""
N_CLASSES = 3


@dataclass(frozen=True)
class Scale:
    """Device, and folder for what is found.

    Args:
        device: ``"cuda"``, or ``"cpu"`` to try the script itself.
        out: Folder for profiles.
    """

    device: str
    out: Path

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name() if self.cuda else "no GPU, a trial of the script"

    def times(self, many: int, few: int) -> int:
        """Number of repetitions: many on a GPU, few in a trial."""
        return many if self.cuda else few

    def models(self) -> list[str]:
        """Names of the models."""
        return list(MODELS) if self.cuda else ["dnn", "cnn", "attention_lrcn"]

    def seconds(self, work: Callable[[], object], repeats: int) -> float:
        """Median time of a piece of work that has been done twice before."""
        measured = []
        for _ in range(repeats + 2):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            measured.append(time.perf_counter() - start)
        return median(measured[2:])

    def wait(self) -> None:
        """Wait until the device has done all that it was told."""
        if self.cuda:
            torch.cuda.synchronize()


def made(name: str, size: int) -> tuple[EmotionClassifier, Batch]:
    """Return a model that always has the same weights, and a batch of noise for it, on the CPU.

    Dropout is off, so that two devices can be compared.
    """
    kind = MODELS[name]
    recipe = kind.published
    window = min(recipe.window, LONGEST)
    for signals in (kind.choose_signals(tuple(SIGNALS)), ("bvp",), ("eda", "bvp"), ("eeg",)):
        inputs = {
            signal: SignalSpec(
                channels, max(1, round(window * sfreq)), sfreq, NAMES.get(signal, ())
            )
            for signal, (channels, sfreq) in SIGNALS.items()
            if signal in signals
        }
        with contextlib.suppress(IncompatibleRunError):
            kind.check_inputs(inputs)
            break
    torch.manual_seed(0)
    model = kind(inputs, N_CLASSES, recipe=recipe)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout1d | torch.nn.Dropout2d):
            module.p = 0.0
    signals_of = {n: torch.randn(size, s.n_channels, s.n_times) for n, s in inputs.items()}
    target = torch.randint(N_CLASSES, (size,))
    return model, Batch(signals_of, target, target, target, torch.arange(size))


def moved(batch: Batch, device: str) -> Batch:
    """Return the batch on a device."""
    signals = {name: samples.to(device) for name, samples in batch.signals.items()}
    return Batch(signals, *(part.to(device) for part in batch[1:]))
