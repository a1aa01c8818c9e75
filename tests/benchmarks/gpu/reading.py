"""Recordings that lie on the device against batches that are sent there."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.fold import Windowing
from datamodules.gathering import WindowDataset
from tests.benchmarks.gpu.scale import Scale, moved
from tests.benchmarks.speed.made_up import LONG
from tests.benchmarks.speed.table import NO_AIM, Row

BATCH = 64


def rows(scale: Scale) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as cache:
        module = EmotionDataModule(
            LONG,
            selection=Selection(signals=["bvp"]),
            windowing=Windowing(60.0, scale.times(1, 60)),
            loading=Loading(BATCH),
            cache_dir=Path(cache),
        )
        module.prepare_data()
        module.setup()
        host = module.gathered("train")
        there = module.gathered("train", torch.device(scale.device))
        some = torch.arange(0, len(host), max(1, len(host) // 50))
        same = torch.allclose(host[some].signals["bvp"], there[some].signals["bvp"].cpu())
        yield Row("windows on the device", "those of the host", "", "", "", "equal", same)
        resident = scale.seconds(lambda: _pass(there, scale.device), 3)
        sent = scale.seconds(lambda: _pass(host, scale.device), 3)
        yield Row(
            f"one pass over {len(host)} windows, recordings on the device",
            "gathered on the host and sent",
            f"{len(host) / resident:.0f} /s",
            f"{len(host) / sent:.0f} /s",
            f"{sent / resident:.1f}x",
            NO_AIM,
            True,
        )


def _pass(windows: WindowDataset, device: str) -> None:
    for batch_rows in torch.randperm(len(windows)).split(BATCH):
        moved(windows[batch_rows], device)
