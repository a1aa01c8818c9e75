"""One run: fit on the training subjects, choose on the validation subjects, test once, save."""

import dataclasses
import logging
import platform
import resource
import subprocess
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import EarlyStopping

from benchmark.distill import make_distiller, taught_signals
from benchmark.efficiency import Efficiency, measure
from benchmark.probes import PROBES, fit_probe
from benchmark.results import Store, full_disk, is_full
from benchmark.run import Result, Run
from benchmark.tracking import LoggerName, close_logger, make_logger
from datamodules import DATAMODULES
from datamodules.base import EmotionDataModule
from datamodules.cache import digest
from datamodules.errors import DatasetCorruptedError
from datamodules.protocol import OF_EPOCHS, REPORTED
from datamodules.windows import WindowIndex
from lightning_modules import MODELS
from lightning_modules.base import EmotionClassifier
from lightning_modules.metrics import scores

PACKAGES = ("torch", "lightning", "torchmetrics", "numpy", "scipy", "scikit-learn", "affectbench")
"""Packages whose versions numbers may depend on."""
SIDE_FILES = ("metrics.csv", "model.ckpt")
"""What is kept of a run besides its predictions, its log and its result."""
SELECTION = "val_macro_f1"
"""What chooses the epoch."""


@dataclass(frozen=True)
class Places:
    """Where things are on this machine; nothing of it is part of a run.

    Args:
        data: Holds a folder for each dataset, of its name.
        cache: Prepared recordings.
        runs: Results.
        device: ``"cpu"`` or ``"cuda"``.
        logger: Tracker of learning curves.
        suite: Name of the suite, for trackers.
    """

    data: Path
    cache: Path
    runs: Path
    device: str = "cpu"
    logger: LoggerName = "csv"
    suite: str = "affectbench"

    def root(self, dataset: str) -> Path:
        """Folder of a dataset, in whatever case its name is written."""
        if self.data.is_dir():
            for folder in sorted(self.data.iterdir()):
                if folder.is_dir() and folder.name.casefold() == dataset.casefold():
                    return folder
        return self.data / dataset


class BestEpoch(L.Callback):
    """Keeps the weights of the epoch with the best score on the validation subjects, in memory.

    The first of equal epochs counts. The weights are put back when fitting ends.
    """

    def __init__(self) -> None:
        self.best = -1.0
        self.epoch = 0
        self.state: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["val_loss"])
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"expected a finite loss, found {loss} in epoch {trainer.current_epoch + 1}: "
                "training diverged. Take a lower learning rate."
            )
        score = float(trainer.callback_metrics[SELECTION])
        if score > self.best:
            self.best, self.epoch = score, trainer.current_epoch + 1
            self.state = {k: v.detach().clone() for k, v in pl_module.state_dict().items()}

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.load_state_dict(self.state)


class TestedEpochs(L.Callback):
    """Tests a model after every epoch, for the protocol flags that report it.

    Args:
        model: Is tested; with a distiller, its student.
        module: Of the model's own signals; its guard refuses without such a flag.
    """

    def __init__(self, model: EmotionClassifier, module: EmotionDataModule) -> None:
        self.model, self.module = model, module
        self.epochs: list[npt.NDArray[np.float64]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        device = trainer.strategy.root_device
        windows = self.module.read_early(device)
        was = self.model.training
        self.model.eval()
        with torch.no_grad():
            parts = [
                self.model(_moved(windows[rows].signals, device)).logits.softmax(dim=1)
                for rows in torch.arange(len(windows)).split(self.module.batch_size)
            ]
        self.model.train(was)
        self.epochs.append(torch.cat(parts).double().cpu().numpy())

    def reported(self, flags: Sequence[str]) -> npt.NDArray[np.float64]:
        """Probabilities (N, K) of the epoch with the best macro F1, or of all epochs (E, N, K)."""
        if "report_mean_over_epochs" in flags:
            return np.stack(self.epochs)
        windows = self.module.windows("test")
        scored = [score_units(self.module, windows, epoch)["scores"] for epoch in self.epochs]
        means = [np.mean([s["macro_f1"] for s in scores.values()]) for scores in scored]
        return self.epochs[int(np.argmax(means))]


def _moved(signals: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: signal.to(device) for name, signal in signals.items()}


def execute(run: Run, places: Places, threads: int = 1, last: bool = True) -> Result:
    """Do a run and commit its result; what goes wrong becomes a failed result.

    Args:
        run: What to do.
        places: Where.
        threads: What torch was allowed, for the record.
        last: Whether running out of memory is a failed result too, or is raised for the caller to
            try again.

    Raises:
        DiskFullError: A file could not be written, which is no fault of the run.
    """
    store = Store(places.runs)
    common: dict[str, Any] = {
        "run": run,
        "device": _device_name(places.device),
        "threads": threads,
        "versions": _versions(),
        "commit": commit(),
    }
    with tempfile.TemporaryDirectory(prefix="affectbench-") as name:
        scratch = Path(name) / "run"  # the log is beside it: Lightning's CSV wants an empty folder
        scratch.mkdir()
        log, predictions = Path(name) / "log.txt", None
        with _logged(log):
            try:
                found, predictions = _compute(run, places, scratch)
                result = Result(status="done", **common, **found)
            except Exception as error:  # whatever it is becomes the run's result
                if is_full(error):
                    raise full_disk(Path(name), places.cache, places.runs) from error
                if out_of_memory(error) and not last:
                    raise
                logging.getLogger(__name__).exception("run failed")
                result = Result(
                    status="failed",
                    error=f"{type(error).__name__}: {error}",
                    traceback=traceback.format_exc(),
                    **common,
                )
        files = (log, *(scratch / name for name in SIDE_FILES))
        store.save(result, predictions, {path.name: path for path in files if path.is_file()})
    return result


def out_of_memory(error: Exception) -> bool:
    """Whether there was too little memory, of the machine or of its GPU."""
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or on_cpu


def _compute(
    run: Run, places: Places, scratch: Path
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    started = time.perf_counter()
    if places.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    module = make_datamodule(run, places)
    module.prepare_data()
    module.setup()
    if module.archive.key != run.data:
        raise DatasetCorruptedError(
            f"{run.dataset}: expected the recordings that this run was planned on ({run.data}), "
            f"found others ({module.archive.key}). The files changed meanwhile; run again."
        )
    L.seed_everything(run.seed, workers=True, verbose=False)
    prepared = time.perf_counter()
    if run.model in PROBES:
        probe = fit_probe(PROBES[run.model], module, run.seed)
        trained_on = probe.trained_on
        trained = time.perf_counter()
        probabilities = probe.predict(module)
        found: dict[str, Any] = {"parameters": probe.size}
    else:
        model = make_model(run, module)
        trained_on = tuple(module.class_counts().tolist())
        early = [TestedEpochs(model, module)] if set(REPORTED) & set(run.flags) else []
        trainer, best = _fit(run, places, scratch, *_taught(run, model, module, places), early)
        trained = time.perf_counter()
        predicted = trainer.predict(model, datamodule=module) or []
        probabilities = torch.cat([torch.as_tensor(p) for p in predicted]).double().cpu().numpy()
        if early:
            probabilities = early[0].reported(run.flags)
        trainer.save_checkpoint(scratch / "model.ckpt", weights_only=True)
        cost = _cost(run, module, model, places.device)
        found = {
            "parameters": cost.parameters,
            "efficiency": {
                "macs": cost.macs,
                "latency_ms": round(cost.latency_ms, 4),
                "cpu_latency_ms": round(cost.cpu_latency_ms, 4),
            },
            "epochs": (trainer.current_epoch, best.epoch),
        }
    done = time.perf_counter()
    windows = module.windows("test")
    sessions = np.array([recording.session for recording in module.archive.recordings])
    predictions = {
        "subject": np.array(module.subjects)[windows.subject],
        "session": sessions[windows.recording],
        "trial": windows.trial,
        "unit": windows.unit,
        "start": windows.start,
        "label": windows.target,
        "probabilities": probabilities[-1] if probabilities.ndim == 3 else probabilities,
    }
    if probabilities.ndim == 3:
        predictions["of_epochs"] = probabilities
    raw = {s.recordings[0].subject: dict(s.files) for s in module.archive.subjects}
    return {
        **found,
        **score_units(module, windows, probabilities),
        "trained_on": trained_on,
        "seconds": {
            "prepare": round(prepared - started, 3),
            "train": round(trained - prepared, 3),
            "predict": round(done - trained, 3),
        },
        "peak_memory": _peak_memory(places.device),
        "raw": digest(raw),
    }, predictions


def make_recipe(run: Run) -> Any:
    """The recipe of a run, as the model's own kind of recipe."""
    catalogued: Any = PROBES.get(run.model) or MODELS[run.model]
    return dataclasses.replace(catalogued.published, **dict(run.recipe))


def _taught(
    run: Run, model: EmotionClassifier, module: EmotionDataModule, places: Places
) -> tuple[EmotionClassifier, EmotionDataModule]:
    """What is fitted, and on what: the model itself, or what distils it with teachers' signals.

    Whatever it learns from, the model is tested alone and on its own signals.
    """
    if not run.distiller:
        return model, module
    both = make_datamodule(run, places, taught_signals(run))
    both.prepare_data()
    both.setup()
    return make_distiller(run, model, both, Store(places.runs)), both


def make_datamodule(
    run: Run, places: Places, signals: Sequence[str] | None = None
) -> EmotionDataModule:
    """The dataset, task and fold of a run, on the windows that its recipe asks for.

    Args:
        run: What is asked.
        places: Where.
        signals: None takes the run's own.
    """
    recipe = make_recipe(run)
    own: dict[str, Any] = {"scaling": "none"}
    if run.model in MODELS:
        own = {
            "scaling": recipe.scaling,
            "batch_size": recipe.batch_size,
            "oversample": recipe.balance == "oversample",
        }
    return DATAMODULES[run.dataset](
        places.root(run.dataset),
        run.task,
        signals=run.signals if signals is None else signals,
        split=run.split,  # type: ignore[arg-type]  # the suite has checked it
        fold=run.fold,
        folds=run.folds,
        subjects=run.subjects,
        window=recipe.window,
        stride=recipe.stride,
        rule=run.rule,  # type: ignore[arg-type]
        padding=run.padding,  # type: ignore[arg-type]
        mask=run.mask,
        without=run.without,
        test_share=run.test_share,
        validation=run.validation or run.model in PROBES,  # a probe is fitted on that part as well
        score_windows=run.score_windows,
        flags=[flag for flag in run.flags if run.model in MODELS or flag not in OF_EPOCHS],
        seed=run.seed,
        cache_dir=places.cache,
        options=dict(run.options),
        **own,
    )


def make_model(run: Run, module: EmotionDataModule) -> EmotionClassifier:
    """The untrained model of a run."""
    build: Any = MODELS[run.model]
    model: EmotionClassifier = build(
        dict(module.inputs), module.n_classes, recipe=make_recipe(run), **dict(run.arguments)
    )
    return model


_costs: dict[tuple[object, ...], Efficiency] = {}


def _cost(run: Run, module: EmotionDataModule, model: EmotionClassifier, device: str) -> Efficiency:
    """Cost of a model, measured once a process for all runs of the same architecture and inputs."""
    inputs = tuple(module.inputs.items())
    key = (run.model, run.arguments, inputs, module.n_classes, device)
    if key not in _costs:
        _costs[key] = measure(model, module.inputs, device)
    return _costs[key]


def _fit(
    run: Run,
    places: Places,
    scratch: Path,
    model: EmotionClassifier,
    module: EmotionDataModule,
    more: Sequence[L.Callback] = (),
) -> tuple[L.Trainer, BestEpoch]:
    best = BestEpoch()
    callbacks: list[L.Callback] = [best, *more]
    if model.recipe.patience is not None:
        callbacks.append(EarlyStopping(SELECTION, mode="max", patience=model.recipe.patience))
    logger = make_logger(places.logger, run, places.suite, scratch, places.runs)
    trainer = L.Trainer(
        accelerator=places.device,
        devices=1,
        max_epochs=model.recipe.max_epochs,
        logger=logger or False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        plugins=[LightningEnvironment()],
        default_root_dir=scratch,
    )
    try:
        trainer.fit(model, datamodule=module)
    finally:
        close_logger(places.logger, logger)
    trainer.logger = None  # predicting would write into it
    return trainer, best


def score_units(
    module: EmotionDataModule, windows: WindowIndex, probabilities: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Scores of each test subject over score units.

    A unit's probabilities are the mean of its windows'.

    Args:
        module: Says who the subjects are.
        windows: The test windows.
        probabilities: Shape (N, K); of several epochs (E, N, K), whose scores are averaged, with
            the confusion of the last.

    Returns:
        ``scores``, ``n_units``, ``units`` and ``confusion`` of a Result.
    """
    if probabilities.ndim == 3:
        epochs = [score_units(module, windows, epoch) for epoch in probabilities]
        mean = {
            subject: {
                name: float(np.mean([epoch["scores"][subject][name] for epoch in epochs]))
                for name in last
            }
            for subject, last in epochs[-1]["scores"].items()
        }
        return {**epochs[-1], "scores": mean}
    keys = np.column_stack([windows.recording, windows.trial, windows.unit])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), probabilities.shape[1]))
    np.add.at(sums, inverse.ravel(), probabilities)
    means = sums / np.bincount(inverse.ravel())[:, None]
    unit = windows.take(first)
    found: dict[str, Any] = {"scores": {}, "n_units": {}, "units": {}, "confusion": {}}
    for subject in np.unique(unit.subject):
        rows = np.flatnonzero(unit.subject == subject)
        name = module.subjects[subject]
        sessions = [module.archive.recordings[row].session for row in unit.recording[rows]]
        listed = np.column_stack([unit.trial, unit.unit, unit.target])[rows].tolist()
        confusion = np.zeros((probabilities.shape[1],) * 2, dtype=int)
        np.add.at(confusion, (unit.target[rows], means[rows].argmax(axis=1)), 1)
        found["scores"][name] = scores(
            torch.from_numpy(means[rows]), torch.from_numpy(unit.target[rows])
        )
        found["n_units"][name] = len(rows)
        found["units"][name] = digest([sessions, listed])
        found["confusion"][name] = confusion.tolist()
    return found


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send log records and warnings of a block to a file."""
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in (None, "lightning.pytorch", "lightning.fabric")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        with warnings.catch_warnings():
            yield
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()


@cache
def commit() -> str:
    """Commit of this project, with ``+`` for uncommitted changes; empty outside a checkout."""
    here = Path(__file__)

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here.parent), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no", ":/*.py", ":/*.yaml")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return ""


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})"


def _peak_memory(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
