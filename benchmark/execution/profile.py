r"""Profile: the time of runs by part, for ``affectbench run --profile``.

Leave-one-subject-out on a made-up WESAD of full size, on two cores of an AMD EPYC:

    affectbench data synthesize wesad --root data/wesad --subjects 15 --option minutes=28.0
    affectbench run full --dataset wesad --task stress --model dnn cnn lstm cnn_lstm \
        --recipe fast --seeds 0 --profile

60 runs, 220 s of two workers' time, 1 min 55 s by the clock with the recordings in the cache:
forward 41 %, backward 35 %, optimizer 5 %, features 5 %, validation 4 %, predicting 3 %, gathering
2 %, nothing else more than 1.3 %. Reading 15 recordings of 97 minutes (13 GB) takes 84 s once.
"""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from lightning.pytorch.profilers import Profiler

from benchmark.run import Run
from benchmark.store import Store

PROFILE = "profile.json"
"""Name of a file in a run's folder: seconds by part, the largest first."""
REST = "other"
"""Part that holds all others; its time is that of no other part."""
TRAINER = "trainer"
"""Part of the work of Lightning between the parts below."""
PARTS = {
    "train_dataloader": "features",
    "val_dataloader": "features",
    "_next": "gathering",
    "training_step": "forward",
    "validation_step": "validation",
    "predict_step": "predicting",
    "backward": "backward",
    "optimizer_step": "optimizer",
    "optimizer_zero_grad": "optimizer",
    "epoch_end": "metrics",
    "on_validation_end": "choosing the epoch",
    "save_checkpoint": "store",
}
"""Parts by the end of Lightning's names of its actions; the first that fits counts."""


class Stopwatch(Profiler):
    """Seconds of each part, without those of the parts inside it.

    Args:
        cuda: Whether to wait for the GPU wherever a part begins or ends, so that its work is
            counted for the part that caused it; this costs time itself.
    """

    def __init__(self, cuda: bool = False) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self.cuda = cuda
        self._open: list[str] = []
        self._since = 0.0

    def start(self, action_name: str) -> None:
        self._turn()
        self._open.append(part_of(action_name))

    def stop(self, action_name: str) -> None:
        self._turn()
        self._open.pop()

    def _turn(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def count(self, owner: object, part: str, *names: str) -> None:
        """Count the time of some methods of an object as a part."""
        for name in names:
            setattr(owner, name, self.profile(part)(getattr(owner, name)))

    def as_text(self) -> str:
        """Return JSON of the parts, in seconds."""
        return json.dumps({part: round(s, 6) for part, s in _largest(self.seconds)}, indent=1)


def part_of(action: str) -> str:
    """Return the part of an action; Lightning's have long names, ours are parts themselves."""
    for end, part in PARTS.items():
        if action.endswith(end):
            return part
    return TRAINER if action.startswith(("[", "run_")) else action


def summary(store: Store, runs: Sequence[Run], recordings: float) -> str:
    """Return a table of the time of runs by part.

    Args:
        store: Store of the results.
        runs: Runs; those without a profile do not count.
        recordings: Seconds in which recordings were read and preprocessed before.
    """
    seconds = defaultdict(float, {"reading and preprocessing": recordings})
    paths = [path for run in runs if (path := store.folder(run) / PROFILE).is_file()]
    for path in paths:
        for part, spent in json.loads(path.read_text()).items():
            seconds[part] += spent
    total = sum(seconds.values()) or 1.0
    lines = [f"{s:10.2f} s{100 * s / total:7.1f} %  {part}" for part, s in _largest(seconds)]
    return "\n".join([f"where the time of {len(paths)} run(s) went", *lines])


def _largest(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])
