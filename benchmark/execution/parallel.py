"""One run over several devices: one process each, trained with DDP and tested by the first alone.

Every process of a group prepares the same run. It takes its part of each training batch (the
datamodule deals them out), and gradients are averaged with the weight that the part has in the
batch, so that a step is that of the whole batch: a recipe's batch size is the global one.
Validation subjects are seen by all processes alike. The test subjects are seen by the first
process, on one device, after the group has parted: a distributed sampler would pad them and count
windows twice.

Numbers differ from those of one device: sums are taken in another order, dropout draws for each
part, and on the CPU batch normalisation takes the statistics of a part.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, distributed

from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from datamodules.batch import Batch

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
"""Processes of a group are on one machine; nothing of theirs leaves it."""


@dataclass(frozen=True)
class Group:
    """A process among those that train one run.

    Args:
        rank: Its number, from 0.
        size: Number of processes.
        meeting: Folder of this group alone, where the processes find each other.
    """

    rank: int
    size: int
    meeting: Path

    def join(self, device: str) -> None:
        """Wait for the other processes."""
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
        distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=f"file://{self.meeting / 'store'}",
            rank=self.rank,
            world_size=self.size,
        )

    def part(self) -> None:
        """End the group; each process goes on alone."""
        distributed.destroy_process_group()

    def trainer_arguments(self, device: str) -> dict[str, Any]:
        """Return the arguments that make a Trainer a member of the group."""
        return {
            "devices": self.size,
            "strategy": DDPStrategy(),
            "plugins": [RankEnvironment(self.rank)],
            "sync_batchnorm": device == "cuda",  # torch has none for the CPU
            "use_distributed_sampler": False,
        }


def spreads(run: Run) -> bool:
    """Return whether a run can be trained on several devices: networks without a teacher can.

    A distiller's loss is no mean over windows, a probe has no gradients, and an ensemble trains
    nothing. A network that is refitted is trained twice, and a group meets once.
    """
    of_one = run.model in PROBES or run.distiller or run.members or run.recipe.refit
    return not of_one


class RankEnvironment(LightningEnvironment):
    """Tells Lightning that the other processes exist, and the number of this one.

    Args:
        rank: Number of this process.
    """

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """Return True: the engine has started them."""
        return True

    def local_rank(self) -> int:
        return self.rank

    def node_rank(self) -> int:
        return 0


class Shares(L.Callback):
    """Weighs the gradient of a part of a batch by its share of the batch.

    DDP takes the plain mean over processes, but parts may differ by a window, and where classes are
    weighted, by the weights of their windows.

    Args:
        size: Number of processes in the group.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.share: Tensor | float = 1.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        weights = pl_module.class_weights
        assert weights is None or isinstance(weights, Tensor)  # a buffer
        one = torch.ones_like(batch.target, dtype=torch.float32)
        weight = (one if weights is None else weights[batch.target]).sum()
        total = weight.clone()
        distributed.all_reduce(total)
        self.share = weight * self.size / total

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        loss.register_hook(lambda gradient: gradient * self.share)
