"""Whether a ``fast`` recipe gives a network too little: scores of longer trainings. By hand:

    export OMP_NUM_THREADS=1
    python tests/benchmarks/longer_fast.py mlstm_fcn patience=null
    python tests/benchmarks/longer_fast.py mlstm_fcn patience=null stride=10 max_epochs=5
    python tests/benchmarks/longer_fast.py rtcan_1d --recipe published
    python tests/benchmarks/longer_fast.py attention_lrcn stride=8 --window 89

The first word is a model, the others are changes to its ``fast`` recipe, or to the one that is
named. It is trained on fold 0 of ``subject_k_fold`` of Stress-Predict with seed 0; the tested
people are never predicted. A row with the macro F1 over the windows of the validation people after
every epoch is added to longer_fast.csv beside this file. Windows that are longer than a score unit
are asked for by ``--window``; the boards' are of 89 s. One fold and one seed: it shows what a limit
on epochs cuts off, not which recipe is best. A row without CPU seconds is the same training as a
run of the boards, from its metrics.csv.
"""

import argparse
import csv
import dataclasses
import json
import logging
import time
import warnings
from pathlib import Path

import lightning as L
import torch

from benchmark.execution.assemble import make_datamodule, make_model
from benchmark.execution.fit import BestEpoch
from benchmark.execution.places import Places
from benchmark.run import Run
from datamodules.protocol import Protocol
from datamodules.stress_predict import STRESS_PREDICT, SUBJECTS
from lightning_modules.catalogue import MODELS

TABLE = Path(__file__).with_suffix(".csv")


class Curve(L.Callback):
    """Keeps the score of every epoch.

    Args:
        score: Name of the score.
    """

    def __init__(self, score: str) -> None:
        self.score = score
        self.values: list[float] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.values.append(round(float(trainer.callback_metrics[self.score]), 3))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a model by a changed fast recipe.")
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--recipe", choices=["published", "fast"], default="fast")
    parser.add_argument("--window", type=float, default=0.0, help="seconds, if more than 60")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    changes = dict(change.split("=", 1) for change in arguments.changes)
    kind = MODELS[arguments.model]
    own = getattr(kind, arguments.recipe)
    recipe = dataclasses.replace(own, **{k: json.loads(v) for k, v in changes.items()})
    run = Run(
        dataset="stress_predict",
        task="stress",
        protocol=Protocol("subject_k_fold"),
        fold=0,
        seed=0,
        model=arguments.model,
        signals=kind.choose_signals(STRESS_PREDICT.available({})),
        subjects=SUBJECTS,
        data="",
        recipe=recipe,
        window=arguments.window,
    )
    module = make_datamodule(run, Places(arguments.data, arguments.cache, Path("runs")))
    module.prepare_data()
    module.setup()
    L.seed_everything(0, workers=True, verbose=False)
    best, curve = BestEpoch(recipe.select_on), Curve(recipe.select_on)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=recipe.max_epochs,
        logger=False,
        callbacks=[best, curve],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    started = time.process_time()
    trainer.fit(make_model(run, module), datamodule=module)
    row = {
        "model": arguments.model,
        "recipe": arguments.recipe,
        "window": arguments.window or min(recipe.window, STRESS_PREDICT.unit or recipe.window),
        "changes": " ".join(arguments.changes),
        "best": round(best.best, 3),
        "best_epoch": best.epoch,
        "epochs": trainer.current_epoch,
        "cpu_seconds": round(time.process_time() - started),
        "curve": " ".join(f"{value:.3f}" for value in curve.values),
    }
    new = not TABLE.is_file()
    with TABLE.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(*row.values())


if __name__ == "__main__":
    main()
