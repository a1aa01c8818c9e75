import subprocess
import sys
from pathlib import Path

import pytest
import torch

from datamodules import inputs
from datamodules.batch import LENGTH, Batch, Chunk, SignalSpec

FRESH = """
import sys, torch
import datamodules.batch
loaded = torch.load(sys.argv[1], weights_only=True)
spec = loaded["inputs"]["bvp"]
print(type(spec).__module__, spec.n_channels, spec.n_times, spec.sfreq)
"""


@pytest.mark.parametrize("module", ["datamodules.inputs", "datamodules.batch"])
def test_a_checkpoint_holds_shapes_of_signals_under_either_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Checkpoints of earlier versions name the shapes after ``datamodules.batch``."""
    path = tmp_path / "model.ckpt"
    monkeypatch.setattr(SignalSpec, "__module__", module)
    torch.save({"inputs": {"bvp": SignalSpec(1, 640, 64.0)}}, path)
    assert f"{module}\nSignalSpec".encode() in path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["datamodules.inputs", "1", "640", "64.0"]


def test_shapes_have_one_home() -> None:
    assert SignalSpec is inputs.SignalSpec
    assert LENGTH is inputs.LENGTH


def test_a_chunk_gives_its_batches_in_order() -> None:
    def gather(rows: torch.Tensor) -> Batch:
        return Batch({}, rows, rows, rows, rows)

    chunk = Chunk(gather, [torch.tensor([2, 0]), torch.tensor([1])])
    assert len(chunk) == 2
    for _ in range(2):
        assert [batch.target.tolist() for batch in chunk] == [[2, 0], [1]]
