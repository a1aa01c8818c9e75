"""What settings of a process or a model do to a training step; each side in a process of its own.

    python -m tests.benchmarks.speed.settings MODEL SETTING

Prints the CPU seconds of a step on a batch of noise, median of ``STEPS``.
"""

import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from time import process_time

import torch
from torch.nn.utils import convert_conv2d_weight_memory_format

from benchmark.engines import worker
from datamodules.batch import Batch, SignalSpec
from lightning_modules.catalogue import MODELS
from tests.benchmarks.speed.table import NO_AIM, Row, side_by_side

SFREQ = 64.0
"""Of a wrist's pulse."""
STEPS, BATCH, REPEATS = 4, 64, 3
SETTINGS = {
    "usual": "as a worker has it",
    "pages": "freed pages given back at once",
    "contiguous": "weights of convolutions as torch makes them",
    "bf16": "precision bf16-mixed",
}
COMPARED = (
    ("cnn", "pages"),
    ("rtcan_1d", "pages"),
    ("attention_lrcn", "pages"),
    ("attention_lrcn", "contiguous"),
    ("attention_lrcn", "bf16"),
)


def rows() -> Iterator[Row]:
    for model, setting in COMPARED:
        ours, other, ratio = side_by_side(
            lambda m=model: _step(m, "usual"), lambda m=model, s=setting: _step(m, s), REPEATS
        )
        yield Row(
            f"training step, {model}",
            SETTINGS[setting],
            f"{1e3 * ours:.1f} ms",
            f"{1e3 * other:.1f} ms",
            f"{1 / ratio:.2f}x",
            NO_AIM,
            True,
        )


def _step(model: str, setting: str) -> float:
    words = [sys.executable, "-m", "tests.benchmarks.speed.settings", model, setting]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main(name: str, setting: str) -> None:
    """Train on one batch, as often as is told, and say what a step took."""
    torch.set_num_threads(1)
    if setting != "pages":
        worker._keep_pages()
    kind = MODELS[name]
    spec = SignalSpec(1, round(kind.published.window * SFREQ), SFREQ)
    model = kind({"bvp": spec}, 3, recipe=kind.published).train()
    if setting == "contiguous":
        convert_conv2d_weight_memory_format(model, torch.contiguous_format)
    optimizer = model.configure_optimizers()["optimizer"]
    signals = {"bvp": torch.randn(BATCH, 1, spec.n_times)}
    target = torch.randint(3, (BATCH,))
    batch = Batch(signals, target, target, target)
    seconds = []
    for _ in range(STEPS + 1):
        start = process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=setting == "bf16"):
            loss = model.loss(batch)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(process_time() - start)
    print(median(seconds[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
