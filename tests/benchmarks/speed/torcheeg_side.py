"""TorchEEG's side of the part ``torcheeg``, run by a Python that has it; prints JSON.

    python torcheeg_side.py FOLDER STORE WINDOW STRIDE BATCH WORKERS

It reads the 32 channels of EEG, cuts each trial into windows, and keeps them in LMDB, its default.
"""

import json
import os
import sys
import time
from pathlib import Path

SFREQ = 128
"""Hz of DEAP's preprocessed files."""


def main(folder: str, store: str, window: float, stride: float, batch: int, workers: int) -> None:
    import torch  # only the environment that runs this has torcheeg
    from torch.utils.data import DataLoader
    from torcheeg import transforms
    from torcheeg.datasets import DEAPDataset

    torch.set_num_threads(1)
    size = round(window * SFREQ)
    cpu, clock = sum(os.times()[:4]), time.perf_counter()
    dataset = DEAPDataset(
        root_path=folder,
        chunk_size=size,
        overlap=size - round(stride * SFREQ),
        online_transform=transforms.ToTensor(),
        label_transform=transforms.Compose([transforms.Select("valence"), transforms.Binary(5.0)]),
        io_path=store,
        num_worker=workers,
        verbose=False,
    )
    cpu, clock = sum(os.times()[:4]) - cpu, time.perf_counter() - clock
    passes = []
    for _ in range(2):
        start = time.perf_counter()
        for _batch in DataLoader(dataset, batch_size=batch, shuffle=True):
            pass
        passes.append(time.perf_counter() - start)
    blocks = sum(path.stat().st_blocks for path in Path(store).rglob("*") if path.is_file())
    facts = {"cpu": cpu, "clock": clock, "megabytes": blocks * 512 / 1e6, "pass": min(passes)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:3], float(sys.argv[3]), float(sys.argv[4]), *map(int, sys.argv[5:]))
