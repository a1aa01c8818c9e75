"""One run: fit on the training subjects, choose on the validation subjects, test once, save."""

import dataclasses
import logging
import os
import platform
import resource
import subprocess
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
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
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import PassThroughProfiler, Profiler

from benchmark.execution.cost import Efficiency, measure
from benchmark.execution.fit import TestedEpochs, fit
from benchmark.execution.parallel import Group, spreads
from benchmark.execution.profile import PROFILE, REST, Stopwatch
from benchmark.execution.scoring import score_units
from benchmark.execution.teachers import make_distiller, taught_signals
from benchmark.probes.fit import PROBES, fit_probe
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store, full_disk, is_full, write_text
from benchmark.tracking.tracker import LoggerName
from datamodules.cache import digest
from datamodules.catalogue import DATAMODULES
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import DatasetCorruptedError
from datamodules.protocol import OF_EPOCHS, REPORTED
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS

PACKAGES = ("torch", "lightning", "torchmetrics", "numpy", "scipy", "scikit-learn", "affectbench")
"""Packages whose versions numbers may depend on."""
SIDE_FILES = ("metrics.csv", "model.ckpt")
"""What is kept of a run besides its predictions, its log and its result."""
CHUNK = 50
"""Batches in a step of the Trainer, whose own work a step is half that of a small network."""


@dataclass(frozen=True)
class Places:
    """Where things are on this machine; nothing of it is part of a run.

    Args:
        data: Holds a folder for each dataset, of its name.
        cache: Prepared recordings.
        runs: Results.
        device: ``"cpu"`` or ``"cuda"``.
        logger: ``"none"`` keeps no ``metrics.csv``; trackers read it once a run is committed.
        deterministic: Whether torch may use only algorithms that give the same bits each time.
        group: Who trains a run together with this process; None: it works alone.
        profile: Whether each run leaves a file of where its time went.
    """

    data: Path
    cache: Path
    runs: Path
    device: str = "cpu"
    logger: LoggerName = "csv"
    deterministic: bool = False
    group: Group | None = None
    profile: bool = False

    def group_of(self, run: Run) -> Group | None:
        """Who trains this run; None for one that is trained on one device."""
        return self.group if spreads(run) else None

    def root(self, dataset: str) -> Path:
        """Folder of a dataset, in whatever case its name is written."""
        if self.data.is_dir():
            for folder in sorted(self.data.iterdir()):
                if folder.is_dir() and folder.name.casefold() == dataset.casefold():
                    return folder
        return self.data / dataset


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
    watch = Stopwatch(places.device == "cuda") if places.profile else PassThroughProfiler()
    common: dict[str, Any] = {
        "run": run,
        "device": _device_name(places.device),
        "devices": group.size if (group := places.group_of(run)) else 1,
        "threads": threads,
        "versions": versions(),
        "commit": commit(),
        "deterministic": places.deterministic,
    }
    with watch.profile(REST), tempfile.TemporaryDirectory(prefix="affectbench-") as name:
        scratch = Path(name) / "run"  # the log is beside it: Lightning's CSV wants an empty folder
        scratch.mkdir()
        log, predictions = Path(name) / "log.txt", None
        with _logged(log), _algorithms(places.deterministic):
            try:
                found, predictions = _compute(run, places, scratch, watch)
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
        with watch.profile("store"):
            store.save(result, predictions, {path.name: path for path in files if path.is_file()})
    if isinstance(watch, Stopwatch):
        write_text(store.folder(run) / PROFILE, watch.as_text())
    return result


def follow(run: Run, places: Places) -> None:
    """Train a run with the group's other processes; the first of them has the result."""
    with tempfile.TemporaryDirectory(prefix="affectbench-") as name, _logged(Path(name) / "log"):
        module = _ready(run, places)
        _fit(run, places, Path(name), make_model(run, module), module)


def out_of_memory(error: Exception) -> bool:
    """Whether there was too little memory, of the machine or of its GPU."""
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or on_cpu


def _compute(
    run: Run, places: Places, scratch: Path, watch: Profiler
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    started = time.perf_counter()
    if places.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with watch.profile("setup"):
        module = _ready(run, places)
    prepared = time.perf_counter()
    if run.model in PROBES:
        with watch.profile("probe"):
            probe = fit_probe(PROBES[run.model], module, run.seed)
            trained = time.perf_counter()
            probabilities = probe.predict(module)
        trained_on = probe.trained_on
        done = time.perf_counter()
        found: dict[str, Any] = {"parameters": probe.size}
    else:
        model = make_model(run, module)
        trained_on = tuple(module.class_counts().tolist())
        early = [TestedEpochs(model, module)] if set(REPORTED) & set(run.flags) else []
        fitted = _taught(run, model, module, places)
        trainer, epochs = _fit(run, places, scratch, *fitted, early, watch)
        trained = time.perf_counter()
        predicted = trainer.predict(model, datamodule=module) or []
        probabilities = torch.cat([torch.as_tensor(p) for p in predicted]).double().cpu().numpy()
        if early:
            probabilities = early[0].reported(run.flags)
        done = time.perf_counter()
        with watch.profile("store"):
            trainer.save_checkpoint(scratch / "model.ckpt", weights_only=True)
        with watch.profile("cost of a window"):
            cost = _cost(run, module, model, places.device)
        found = {
            "parameters": cost.parameters,
            "efficiency": {
                "macs": cost.macs,
                "latency_ms": round(cost.latency_ms, 4),
                "cpu_latency_ms": round(cost.cpu_latency_ms, 4),
            },
            "epochs": epochs,
        }
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
        "classes": module.task.classes,
        "labels": module.task.source,
        "seconds": {
            "prepare": round(prepared - started, 3),
            "train": round(trained - prepared, 3),
            "predict": round(done - trained, 3),
        },
        "peak_memory": _peak_memory(places.device),
        "raw": digest(raw),
    }, predictions


def _ready(run: Run, places: Places) -> EmotionDataModule:
    """The datamodule of a run, set up, and all seeds set."""
    module = make_datamodule(run, places)
    module.prepare_data()
    module.setup()
    if module.archive.key != run.data:
        raise DatasetCorruptedError(
            f"{run.dataset}: expected the recordings that this run was planned on ({run.data}), "
            f"found others ({module.archive.key}). The files changed meanwhile; run again."
        )
    L.seed_everything(run.seed, workers=True, verbose=False)
    return module


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
        single = run.distiller or places.group_of(run) or recipe.precision != "32-true"
        own = {
            "scaling": recipe.scaling,
            "batch_size": recipe.batch_size,
            "oversample": recipe.balance == "oversample",
            "chunk": 1 if single else CHUNK,
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
    watch: Profiler | None = None,
) -> tuple[L.Trainer, tuple[int, int]]:
    group = places.group_of(run)
    curves = places.logger != "none" and not (group and group.rank)
    logger = CSVLogger(scratch, name="", version="") if curves else None
    if isinstance(watch, Stopwatch):
        watch.count(model, "gathering", "_gathered")
        watch.count(model, "backward", "_differentiate")
        watch.count(model, "optimizer", "_update")
        if logger:
            watch.count(logger, "logging", "log_metrics", "save")
    if group:
        group.join(places.device)
        torch.manual_seed(run.seed + group.rank)  # weights are the first's, dropout is not
    return fit(model, module, places.device, scratch, logger, more, watch, group)


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
            # Lightning looks for SLURM's srun whatever environment it is given
            warnings.filterwarnings("ignore", "The `srun` command is available")
            yield
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()


@contextmanager
def _algorithms(deterministic: bool) -> Iterator[None]:
    """Let torch use only deterministic algorithms in a block, if asked."""
    before = torch.are_deterministic_algorithms_enabled()
    if deterministic:  # cuBLAS reads it when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


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
def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})"


def _peak_memory(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
