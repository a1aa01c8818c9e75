"""Predictions on new recordings: files of a wristband, or subjects of a dataset."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import Predicted, Predictor
from benchmark.files import write_text
from benchmark.predict.doubts import Doubts, doubts_of
from benchmark.predict.plot import plot_probabilities
from benchmark.run import Value
from benchmark.tables import csv_text
from datamodules.dataset import Dataset
from datamodules.empatica_e4 import EMPATICA_E4
from datamodules.formats.empatica import FILES, read_session
from datamodules.formats.packed import SUFFIX
from datamodules.signals.preprocessing import preprocess
from datamodules.signals.recording import Recording, Signal
from datamodules.wesad import WESAD, WESADReader


class Written(NamedTuple):
    """Files that were written, and the doubts about what is in them.

    Attributes:
        files: The table, then the plots.
        doubts: Lines of doubt, each with the name of its recording.
    """

    files: tuple[Path, ...]
    doubts: tuple[str, ...]


def predict_files(predictor: Predictor, files: Sequence[Path], out: Path, stride: float) -> Written:
    """Predict every recording and write one table; for E4 sessions a plot each beside it.

    Args:
        predictor: The model.
        files: Sessions of an Empatica E4, a folder or an archive each, or ``.pkl`` files of WESAD.
        out: Path of the CSV: file, start (seconds), time (UTC, where the recording has it), the
            class of highest probability, the probability of each class, and doubts.
        stride: Time from one window's start to the next, in seconds.

    Raises:
        BenchmarkError: A file that is neither, or does not fit the model, or a table that cannot be
            written; nothing is written.
    """
    check_out(out)
    tables, plots, lines = [], {}, []
    for path in files:
        start, signals = _read(path)
        name = path.resolve().name.removesuffix(SUFFIX)
        predicted, doubts = _predicted(predictor, signals, stride)
        table = _table(predictor, str(path), start, predicted, doubts)
        tables.append(table)
        lines += [f"{path}: {line}" for line in doubts.lines]
        if start is not None:
            plot = out.with_name(f"{out.stem}-{name}.svg")
            number = 1
            while plot in plots:  # sessions of several people may have folders of the same name
                number += 1
                plot = out.with_name(f"{out.stem}-{name}-{number}.svg")
            plots[plot] = plot_probabilities(
                name,
                predictor.name,
                predicted.starts + predictor.window / 2,
                predicted.probabilities,
                predictor.classes,
                [bool(words) for words in doubts.of_windows],
                doubts.lines,
            )
    return Written(_write(out, tables, plots), tuple(lines))


def predict_subjects(
    predictor: Predictor,
    dataset: Dataset,
    root: Path,
    options: Mapping[str, Value],
    subjects: Sequence[str],
    out: Path,
    stride: float,
) -> Written:
    """Predict every recording of some subjects of a dataset, read and prepared as for training.

    Args:
        predictor: The model.
        dataset: The dataset.
        root: Folder of the dataset's files.
        options: Options of its reader. Those that a signal of the model needs are set in any case.
        subjects: Names of subjects.
        out: Path of the CSV, with the columns of ``predict_files``; ``file`` names subject, session
            and first trial.
        stride: Time from one window's start to the next, in seconds.

    Raises:
        AffectbenchError: No such subject, or files that are not the publisher's.
        BenchmarkError: Recordings that do not fit the model, or a table that cannot be written;
            nothing is written.
    """
    check_out(out)
    needed = {option: True for name, option in dataset.optional.items() if name in predictor.inputs}
    reader = dataset.make_reader(root if dataset.has_files else None, **{**options, **needed})
    tables, lines = [], []
    for subject in dataset.check_subjects(reader, subjects):
        for recording in reader.read(subject):
            if isinstance(recording, Recording):
                name = f"{subject} session {recording.session}"
                if recording.segments:
                    name += f" trial {recording.segments[0].trial}"
                signals = preprocess(recording.signals, dataset.preprocessing)
                predicted, doubts = _predicted(predictor, signals, stride)
                tables.append(_table(predictor, name, None, predicted, doubts))
                lines += [f"{name}: {line}" for line in doubts.lines]
    if not tables:
        raise BenchmarkError(
            f"{dataset.title}: expected recordings of {', '.join(subjects)}, found none"
        )
    return Written(_write(out, tables, {}), tuple(lines))


def _predicted(
    predictor: Predictor, signals: Mapping[str, Signal], stride: float
) -> tuple[Predicted, Doubts]:
    predicted = predictor.predict(signals, stride)
    return predicted, doubts_of(predictor, predicted)


def _table(
    predictor: Predictor, name: str, start: float | None, predicted: Predicted, doubts: Doubts
) -> pd.DataFrame:
    """Return a table with one row for each window."""
    starts, probabilities = predicted.starts, predicted.probabilities
    table = pd.DataFrame({"file": name, "start": starts})
    table["time"] = [_utc(start + second) if start is not None else "" for second in starts]
    best = np.array(predictor.classes, object)[probabilities.argmax(axis=1)]
    table["predicted"] = np.where(np.isnan(probabilities).any(axis=1), "", best)
    for position, label in enumerate(predictor.classes):
        table[f"p_{label}"] = probabilities[:, position]
    table["doubts"] = doubts.of_windows
    return table


def check_out(out: Path) -> None:
    """Raise BenchmarkError, before any work, for a table that cannot be written."""
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if out.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        found = "a folder" if out.is_dir() else f"{folder}, which cannot be written to"
        raise BenchmarkError(f"--out {out}: expected a file to write, found {found}")


def _write(
    out: Path, tables: Sequence[pd.DataFrame], plots: Mapping[Path, str]
) -> tuple[Path, ...]:
    """Write the table and the plots, and return their paths."""
    try:
        write_text(out, csv_text(pd.concat(tables), "%.4f"))
        for plot, text in plots.items():
            write_text(plot, text)
    except OSError as error:
        raise BenchmarkError(f"{error.filename or out} cannot be written: {error}") from error
    return (out, *plots)


def _read(path: Path) -> tuple[float | None, Mapping[str, Signal]]:
    """Return the start in UTC seconds, if known, and the signals as a model takes them."""
    if path.is_dir() or (path.suffix == SUFFIX and path.is_file()):
        session = read_session(path)
        return session.start, preprocess(session.signals, EMPATICA_E4.preprocessing)
    if path.suffix == ".pkl" and path.is_file():
        items = WESADReader(path.parent.parent).read(path.stem)
        (recording,) = (item for item in items if isinstance(item, Recording))
        return None, preprocess(recording.signals, WESAD.preprocessing)
    raise BenchmarkError(
        f"{path}: expected a session of an Empatica E4 (a folder or a zip archive with "
        f"{', '.join(FILES.values())}) or a "
        "SX/SX.pkl of WESAD; subjects of any other dataset with --dataset and --root"
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
