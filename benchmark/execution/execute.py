"""One run: fit on the training subjects, choose on the validation subjects, test once, save.

A recipe may ask for a second fit, on both together, for the number of epochs that was chosen.
"""

import logging
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.profilers import PassThroughProfiler, Profiler

from benchmark.code import check_code, plugins_of
from benchmark.curves import METRICS
from benchmark.encoders.fit import FittedEncoder, fit_encoder
from benchmark.execution.assemble import frozen, make_model, ready, taught
from benchmark.execution.checkpoint import NETWORK, PROBE, save_probe
from benchmark.execution.chosen import check_chosen
from benchmark.execution.circumstances import commit, device_name, peak_memory, versions
from benchmark.execution.cost import cost_of
from benchmark.execution.ensemble import ensemble
from benchmark.execution.epochs import EpochLogger
from benchmark.execution.fit import Course, TestedEpochs, fit, refit
from benchmark.execution.places import Places
from benchmark.execution.profile import PROFILE, REST, Stopwatch
from benchmark.execution.trained import test_trained
from benchmark.files import full_disk, is_full, write_text
from benchmark.plugins import load
from benchmark.probes.catalogue import PROBES
from benchmark.probes.fit import FittedProbe, fit_probe
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored, with_scores
from benchmark.store import VALIDATION, Store, as_npz
from datamodules.datamodule import EmotionDataModule
from datamodules.digests import digest
from datamodules.errors import MachineError
from datamodules.fold import keeps_validation
from datamodules.temporary import owned
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import DISTILLERS
from lightning_modules.distillation.base import Distiller
from lightning_modules.units import Columns, predictions

SIDE_FILES = (METRICS, NETWORK, PROBE, VALIDATION)
"""Files that are kept of a run besides its predictions, its log and its result."""


def execute(run: Run, places: Places, last: bool = True) -> Scored:
    """Do a run and commit its result; what goes wrong becomes a failed result.

    Args:
        run: Run to do.
        places: Folders, device and the like.
        last: Whether running out of memory is a failed result too, or is raised for the caller to
            try again.

    Raises:
        MachineError: A file could not be read or written, which is no fault of the run.
    """
    load(places.plugins)
    store = Store(places.runs)
    watch = Stopwatch(places.device == "cuda") if places.profile else PassThroughProfiler()
    common: dict[str, Any] = {
        "run": run,
        "device": device_name(places.device),
        "devices": group.size if (group := places.group_of(run)) else 1,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "deterministic": places.deterministic,
        "control": _is_control(run.distiller),
        "plugins": plugins_of(run),
    }
    with watch.profile(REST), tempfile.TemporaryDirectory(prefix=owned()) as name:
        scratch = Path(name)
        log, columns = scratch / "log.txt", None
        with _logged(log), _algorithms(places.deterministic):
            try:
                measured, columns = _compute(run, places, scratch, watch)
                result = Result(status="done", ended=time.time(), **common, **measured)
            except Exception as error:  # whatever it is becomes the run's result
                if isinstance(error, MachineError):
                    raise
                if is_full(error):
                    raise full_disk(scratch, places.cache, places.runs) from error
                if out_of_memory(error) and not last:
                    raise
                logging.getLogger(__name__).exception("run failed")
                result = Result(
                    status="failed",
                    error=f"{type(error).__name__}: {error}",
                    traceback=traceback.format_exc(),
                    ended=time.time(),
                    **common,
                )
        files = (log, *(scratch / name for name in SIDE_FILES))
        with watch.profile("store"):
            store.save(result, columns, {path.name: path for path in files if path.is_file()})
    if isinstance(watch, Stopwatch):
        write_text(store.folder(run) / PROFILE, watch.as_text())
    return with_scores(result, columns, store.folder(run))


def _is_control(distiller: str) -> bool:
    """Return whether a distiller has no better teacher, so that its gain is no claim."""
    return bool(distiller) and DISTILLERS[distiller].control


def follow(run: Run, places: Places) -> None:
    """Train a run with the group's other processes; the first of them has the result."""
    load(places.plugins)
    with tempfile.TemporaryDirectory(prefix=owned()) as name, _logged(Path(name) / "log"):
        module = ready(run, places)
        _fit(run, places, Path(name), make_model(run, module), module)


def out_of_memory(error: Exception) -> bool:
    """Return whether there was too little memory, of the machine or of its GPU."""
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or on_cpu


def _compute(
    run: Run, places: Places, scratch: Path, watch: Profiler
) -> tuple[dict[str, Any], Columns]:
    check_code(run)
    if run.members:
        measured, columns, calibrating = ensemble(run, Store(places.runs))
        if calibrating:
            (scratch / VALIDATION).write_bytes(as_npz(calibrating))
        return measured, columns
    started = time.perf_counter()
    if places.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with watch.profile("setup"):
        module = ready(run, places)
    if run.trained:
        return test_trained(run, module, places)
    if run.budget:
        check_chosen(run, Store(places.runs), module.fold.members.test)
    prepared = time.perf_counter()
    chosen_with: tuple[int, ...] = ()
    if run.model in PROBES:
        if run.recipe.refit:
            module.train_on_validation()
        with watch.profile("probe"):
            probe: FittedProbe | FittedEncoder
            if PROBES[run.model].encoder:
                probe = fit_encoder(frozen(run, module, places), module)
            else:
                probe = fit_probe(PROBES[run.model], module, run.seed, dict(run.arguments))
            trained = time.perf_counter()
            probabilities = probe.predict(module)
        trained_on = probe.trained_on
        done = time.perf_counter()
        _keep_validation(run, module, scratch, probe.predict)
        if isinstance(probe, FittedProbe) and not run.inner:
            with watch.profile("store"):
                save_probe(probe, module, scratch / PROBE)
        sizes: dict[str, Any] = {"parameters": probe.size, "notes": probe.notes}
    else:
        model = make_model(run, module)
        trained_on = tuple(module.class_counts().tolist())
        early = [TestedEpochs(model, module)] if run.protocol.reports_epochs else []
        fitted = taught(run, model, module, places)
        trainer, course = _fit(run, places, scratch, *fitted, early, watch)
        if run.recipe.refit:
            chosen_with = trained_on
            module.train_on_validation()
            trained_on = tuple(module.class_counts().tolist())
            L.seed_everything(run.seed, workers=True, verbose=False)
            model = make_model(run, module)
            _count(model, watch)
            trainer = refit(model, module, course, places.device, scratch, watch)
        trained = time.perf_counter()
        probabilities = _predicted(trainer, model, module)
        if early:
            probabilities = early[0].reported()
        done = time.perf_counter()
        _keep_validation(run, module, scratch, partial(_predicted, trainer, model))
        sizes = {} if run.inner else _kept(run, places, trainer, model, module, scratch, watch)
        sizes |= {
            "epochs": (course.trained, course.best),
            "notes": fitted[0].notes if isinstance(fitted[0], Distiller) else (),
        }
    raw = {s.recordings[0].subject: dict(s.files) for s in module.fold.archive.subjects}
    return {
        **sizes,
        "trained_on": trained_on,
        "chosen_with": chosen_with,
        "classes": module.task.classes,
        "labels": module.task.source,
        "seconds": {
            "prepare": round(prepared - started, 3),
            "train": round(trained - prepared, 3),
            "predict": round(done - trained, 3),
        },
        "peak_memory": peak_memory(places.device),
        "raw": digest(raw),
    }, predictions(module.columns("test"), probabilities)


def _predicted(
    trainer: L.Trainer, model: EmotionClassifier, module: EmotionDataModule
) -> npt.NDArray[np.float64]:
    """Return the probabilities of the tested windows, shape (N, K)."""
    predicted = trainer.predict(model, datamodule=module) or []
    return torch.cat([torch.as_tensor(p) for p in predicted]).double().cpu().numpy()


def _keep_validation(
    run: Run,
    module: EmotionDataModule,
    scratch: Path,
    predict: Callable[[EmotionDataModule], npt.NDArray[np.float64]],
) -> None:
    """Keep predictions of validation people, on which uncertainty is calibrated, if there are any.

    It is done after the test: nothing that is drawn at random here can change what is tested.
    """
    if run.inner or run.protocol.flags or not keeps_validation(module.fold):
        return
    validation = module.testing_validation()
    columns = predictions(validation.columns("test"), predict(validation))
    (scratch / VALIDATION).write_bytes(as_npz(columns))


def _kept(
    run: Run,
    places: Places,
    trainer: L.Trainer,
    model: EmotionClassifier,
    module: EmotionDataModule,
    scratch: Path,
    watch: Profiler,
) -> dict[str, Any]:
    """Save the checkpoint of a network, and return what a window costs."""
    with watch.profile("store"):
        trainer.save_checkpoint(scratch / NETWORK, weights_only=True)
    with watch.profile("cost of a window"):
        cost = cost_of(run, model, module.inputs, places.device)
    return {
        "parameters": cost.parameters,
        "efficiency": {
            "macs": cost.macs,
            "latency_ms": round(cost.latency_ms, 4),
            "cpu_latency_ms": round(cost.cpu_latency_ms, 4),
        },
    }


def _fit(
    run: Run,
    places: Places,
    scratch: Path,
    model: EmotionClassifier,
    module: EmotionDataModule,
    more: Sequence[L.Callback] = (),
    watch: Profiler | None = None,
) -> tuple[L.Trainer, Course]:
    group = places.group_of(run)
    curves = places.logger != "none" and not (group and group.rank)
    logger = EpochLogger(scratch) if curves else None
    _count(model, watch)
    if isinstance(watch, Stopwatch) and logger:
        watch.count(logger, "logging", "log_metrics", "finalize")
    if group:
        group.join(places.device)
        torch.manual_seed(run.seed + group.rank)  # weights are the first's, dropout is not
    return fit(model, module, places.device, scratch, logger, more, watch, group)


def _count(model: EmotionClassifier, watch: Profiler | None) -> None:
    """Count the time of the steps that a model takes by itself."""
    if isinstance(watch, Stopwatch):
        watch.count(model, "gathering", "_gathered")
        watch.count(model, "backward", "_differentiate")
        watch.count(model, "optimizer", "_update")


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
