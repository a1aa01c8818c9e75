"""Learning curves: a CSV a run by default; Weights & Biases or TensorBoard when asked for."""

import os
from pathlib import Path
from typing import Literal, get_args

from lightning.pytorch.loggers import CSVLogger, Logger

from benchmark.run import Run

LoggerName = Literal["csv", "wandb", "tensorboard", "none"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)

PRIVATE = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "host": "",
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
}
"""Settings of Weights & Biases: nothing of the machine, its user or its folders is kept."""


def make_logger(name: LoggerName, run: Run, suite: str, folder: Path, kept: Path) -> Logger | None:
    """The logger of one run.

    Args:
        name: Which one. ``"wandb"`` works offline unless WANDB_MODE says ``online``; its files and
            TensorBoard's are under ``kept``.
        run: What is logged.
        suite: Project in Weights & Biases.
        folder: The run's temporary folder; ``metrics.csv`` is written there.
        kept: Folder of the tracker's own files.
    """
    if name == "csv":
        return CSVLogger(folder, name="", version="")
    if name == "wandb":
        from lightning.pytorch.loggers import WandbLogger

        os.environ.setdefault("WANDB_MODE", "offline")
        (kept / "wandb").mkdir(parents=True, exist_ok=True)
        return WandbLogger(
            project=f"affectbench-{suite}",
            name=f"{run.name}-{run.fold}-{run.seed}",
            id=run.id,
            group=f"{run.board}/{run.name}",
            save_dir=kept,
            config=run.as_dict(),
            settings=PRIVATE,
        )
    if name == "tensorboard":
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(kept / "tensorboard", name=run.board, version=run.folder)
    return None


def close_logger(name: LoggerName, logger: Logger | None) -> None:
    """End the tracker's run, however training ended: a process has many runs, one after another.

    Lightning would go on writing into a run of Weights & Biases that is still open.
    """
    if logger is not None:
        logger.finalize("success")
    if name == "wandb":
        import wandb

        wandb.finish()
