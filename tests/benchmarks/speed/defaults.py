"""A fold of the cell as one would write it without this project: a script, Lightning's defaults.

    python tests/benchmarks/speed/defaults.py FOLDER FOLD

FOLDER holds ``features.npy``, ``target.npy`` and ``subject.npy``. The subject that is left out is
tested; the three after it choose the checkpoint.
"""

import sys
import time
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassF1Score

EPOCHS, BATCH = 20, 64


class Classifier(L.LightningModule):
    """310-256-128-3, macro F1 by torchmetrics, logged an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(310, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 3)
        )
        self.scores = nn.ModuleDict({f"{p}_f1": MulticlassF1Score(3) for p in PARTS})

    def on_train_start(self) -> None:
        Path(self.trainer.default_root_dir, "started").write_text(str(time.time()))

    def _step(self, batch: tuple[Tensor, Tensor], part: str) -> Tensor:
        x, y = batch
        logits = self.network(x)
        loss = nn.functional.cross_entropy(logits, y)
        score = self.scores[f"{part}_f1"]
        score(logits, y)
        self.log(f"{part}_loss", loss, on_step=False, on_epoch=True)
        self.log(f"{part}_f1", score, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


PARTS = ("train", "val", "test")


def main(folder: Path, fold: int) -> None:
    L.seed_everything(0)
    features, target, subject = (
        torch.from_numpy(np.load(folder / f"{name}.npy"))
        for name in ("features", "target", "subject")
    )
    n = int(subject.max()) + 1
    held = {"test": [fold], "val": [(fold + k) % n for k in (1, 2, 3)]}
    held["train"] = [s for s in range(n) if s not in held["test"] + held["val"]]
    seen = features[torch.isin(subject, torch.tensor(held["train"]))]
    features = (features - seen.mean(0)) / seen.std(0)
    loaders = {}
    for part, who in held.items():
        rows = torch.isin(subject, torch.tensor(who))
        data = TensorDataset(features[rows], target[rows])
        loaders[part] = DataLoader(data, batch_size=BATCH, shuffle=part == "train")
    trainer = L.Trainer(max_epochs=EPOCHS, default_root_dir=folder / f"fold {fold}")
    trainer.fit(Classifier(), loaders["train"], loaders["val"])
    trainer.test(dataloaders=loaders["test"], ckpt_path="best")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
