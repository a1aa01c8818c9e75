"""Chooses the learning rate of each model's ``fast`` recipe. Run by hand, in about an hour:

    OMP_NUM_THREADS=1 python tests/benchmarks/tune_fast.py --data DATA --cache CACHE

DATA holds the folder stress_predict, as published. Each run adds its row to tune_fast.csv beside
this file and is not done again; delete the file to start anew. At the end, or with --report alone,
the table of scores is printed.

Subjects: split subject_hold_out of Stress-Predict. The seed chooses 5 validation subjects out of
the 27 that are not tested on; the test subjects are never predicted. Models that are heavy on a CPU
are trained on the first 12 of the 22 training subjects. There are two seeds.

Grid: three learning rates, two for heavy models, around the recipe's first one; all else is the
recipe's own, but for the limits on epochs, which are those of the group. Strides, batch sizes and
limits on epochs of the heavy recipes were set so that a fold takes a minute or two of one core, not
by scores. Since then the heavy recipes changed: Attention-LRCN has a stride of 20 s, and none of
them stops early, as the best epoch may come late (longer_fast.py). The rows here are of the groups'
limits.

Rule: a run's score is the macro F1 over validation windows in its best epoch, as in the benchmark.
The learning rate with the highest mean over seeds (and models, where they share a recipe) is
chosen, but all whose mean lies below it by no more than one standard error of the paired difference
are tied with it, and of these the nearest to the published one, by ratio, is chosen.

The rule was fixed before the first run. To save time, a third seed and some learning rates of heavy
models were dropped after four runs of RTCAN-1D. The table has one run of Attention-LRCN at 1e-4
that is not in the grid: it was best in its last epoch, a little below 3e-4.
Seconds are of a busy machine. With two seeds the standard error is rough: the choice says which
values do badly rather than which is best.
"""

import argparse
import csv
import dataclasses
import logging
import math
import statistics
import time
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping

from benchmark.execution.assemble import make_datamodule, make_model
from benchmark.execution.fit import BestEpoch
from benchmark.execution.places import Places
from benchmark.run import Run
from datamodules.protocol import Protocol
from datamodules.splits import Dealing
from datamodules.stress_predict import STRESS_PREDICT, SUBJECTS
from lightning_modules.catalogue import MODELS

PROTOCOL = Protocol("subject_hold_out")
TABLE = Path(__file__).with_suffix(".csv")
FIELDS = (
    "model",
    "lr",
    "seed",
    "train_subjects",
    "stride",
    "batch_size",
    "max_epochs",
    "patience",
    "val_macro_f1",
    "best_epoch",
    "epochs",
    "seconds",
)


@dataclasses.dataclass(frozen=True)
class Group:
    """Models that share a recipe, and what is tried with them."""

    models: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    n_train: int
    max_epochs: int
    patience: int

    @property
    def published(self) -> float:
        return MODELS[self.models[0]].published.lr


GROUPS = (
    Group(("rtcan_1d",), (3e-4, 1e-3, 3e-3), (0, 1), 22, 30, 8),
    Group(("dnn", "lstm", "cnn", "cnn_lstm"), (3e-4, 1e-3, 3e-3), (0, 1), 22, 25, 6),
    Group(("attention_lrcn",), (3e-4, 1e-3), (0, 1), 12, 6, 3),
    Group(("mlstm_fcn",), (1e-3, 3e-3), (0, 1), 12, 5, 3),
    Group(("emotionkd_student",), (3e-4, 1e-3), (0, 1), 12, 5, 3),
)
"""The teacher of EmotionKD shares its student's recipe and is too slow to be tried."""


def rows() -> list[dict[str, str]]:
    if not TABLE.is_file():
        return []
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def add(row: dict[str, object]) -> None:
    new = not TABLE.is_file()
    with TABLE.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def train(group: Group, model: str, lr: float, seed: int, places: Places) -> dict[str, object]:
    kind = MODELS[model]
    recipe = dataclasses.replace(
        kind.fast, lr=lr, max_epochs=group.max_epochs, patience=group.patience
    )
    trials: dict[str, list[tuple[str, str]]] = {subject: [] for subject in SUBJECTS}
    trained_on = PROTOCOL.splitting.members(trials, Dealing(0, seed)).train
    run = Run(
        dataset="stress_predict",
        task="stress",
        protocol=PROTOCOL,
        fold=0,
        seed=seed,
        model=model,
        signals=kind.choose_signals(STRESS_PREDICT.available({})),
        subjects=SUBJECTS,
        data="",
        recipe=recipe,
        without=trained_on[group.n_train :],
    )
    module = make_datamodule(run, places)
    module.prepare_data()
    module.setup()
    L.seed_everything(seed, workers=True, verbose=False)
    best = BestEpoch(recipe.select_on)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=recipe.max_epochs,
        logger=False,
        callbacks=[best, EarlyStopping(recipe.select_on, mode="max", patience=group.patience)],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    started = time.perf_counter()
    trainer.fit(make_model(run, module), datamodule=module)
    return {
        "model": model,
        "lr": lr,
        "seed": seed,
        "train_subjects": len(module.fold.members.train),
        "stride": recipe.stride,
        "batch_size": recipe.batch_size,
        "max_epochs": recipe.max_epochs,
        "patience": recipe.patience,
        "val_macro_f1": round(best.best, 4),
        "best_epoch": best.epoch,
        "epochs": trainer.current_epoch,
        "seconds": round(time.perf_counter() - started, 1),
    }


def report(group: Group) -> None:
    """Print the scores of a group, and what the rule chooses if all its runs are done."""
    found = [row for row in rows() if row["model"] in group.models]
    scores = {
        lr: {
            (row["model"], row["seed"]): float(row["val_macro_f1"])
            for row in found
            if float(row["lr"]) == lr
        }
        for lr in group.rates
    }
    for lr in group.rates:
        own = [row for row in found if float(row["lr"]) == lr]
        if own:
            epoch = statistics.median(int(row["best_epoch"]) for row in own)
            seconds = statistics.median(float(row["seconds"]) for row in own)
            print(
                f"{'+'.join(group.models):<25} {lr:<7g} {len(own):>3} runs  macro F1 "
                f"{statistics.mean(scores[lr].values()):.3f}  best epoch {epoch:g}  {seconds:.0f} s"
            )
    if any(len(own) < len(group.models) * len(group.seeds) for own in scores.values()):
        print(f"{'+'.join(group.models):<25} not all runs are done: nothing is chosen")
        return
    highest = max(group.rates, key=lambda lr: statistics.mean(scores[lr].values()))
    tied = [lr for lr in group.rates if lr == highest or ties(scores[highest], scores[lr])]
    chosen = min(tied, key=lambda lr: abs(math.log(lr / group.published)))
    print(f"{'+'.join(group.models):<25} {chosen:g} of {', '.join(f'{lr:g}' for lr in tied)}\n")


def ties(best: dict[tuple[str, str], float], other: dict[tuple[str, str], float]) -> bool:
    """Whether the mean difference is within one standard error, which is over seeds."""
    seeds = sorted({seed for _, seed in best})
    differences = [
        statistics.mean(best[key] - other[key] for key in best if key[1] == seed) for seed in seeds
    ]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences) <= error


def main() -> None:
    parser = argparse.ArgumentParser(description="Tune the fast recipes on validation subjects.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--models", nargs="+", help="only the groups with one of these")
    parser.add_argument("--report", action="store_true", help="print the table, train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    places = Places(arguments.data, arguments.cache, Path("runs"))
    for group in GROUPS:
        if arguments.models and not set(arguments.models) & set(group.models):
            continue
        done = {(row["model"], float(row["lr"]), int(row["seed"])) for row in rows()}
        for seed in group.seeds if not arguments.report else ():
            for lr in group.rates:
                for model in group.models:
                    if (model, lr, seed) not in done:
                        row = train(group, model, lr, seed, places)
                        add(row)
                        print(*row.values(), flush=True)
        report(group)


if __name__ == "__main__":
    main()
