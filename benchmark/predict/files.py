"""Predictions on new recordings: files of a wristband, or subjects of a dataset."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import Predictor
from benchmark.files import write_text
from benchmark.predict.plot import plot_probabilities
from benchmark.tables import csv_text
from datamodules.catalogue import DATASETS
from datamodules.empatica_e4 import EMPATICA_E4
from datamodules.formats.empatica import FILES, read_session
from datamodules.signals.preprocessing import preprocess
from datamodules.signals.recording import Recording, Signal
from datamodules.wesad import WESAD, WESADReader


def predict_files(
    predictor: Predictor, files: Sequence[Path], out: Path, stride: float
) -> list[Path]:
    """Predict every recording and write one table; for E4 folders a plot each beside it.

    Args:
        predictor: The model.
        files: Session folders of an Empatica E4, or ``.pkl`` files of WESAD.
        out: Path of the CSV: file, start (seconds), time (UTC, where the recording has it), the
            class of highest probability, and the probability of each class.
        stride: Time from one window's start to the next, in seconds.

    Returns:
        The files written.

    Raises:
        BenchmarkError: A file that is neither, or does not fit the model; nothing is written.
    """
    tables, plots = [], {}
    for path in files:
        start, signals = _read(path)
        seconds, table = _table(predictor, str(path), signals, start, stride)
        tables.append(table)
        if start is not None:
            plot = out.with_name(f"{out.stem}-{path.resolve().name}.svg")
            plots[plot] = plot_probabilities(
                path.resolve().name,
                seconds + predictor.window / 2,
                table[[f"p_{name}" for name in predictor.classes]].to_numpy(),
                predictor.classes,
            )
    write_text(out, csv_text(pd.concat(tables), "%.4f"))
    for plot, text in plots.items():
        write_text(plot, text)
    return [out, *plots]


def predict_subjects(
    predictor: Predictor,
    dataset: str,
    root: Path,
    subjects: Sequence[str],
    out: Path,
    stride: float,
) -> list[Path]:
    """Predict every recording of some subjects of a dataset, read and prepared as for training.

    Args:
        predictor: The model.
        dataset: Catalogue key.
        root: Folder of the dataset's files.
        subjects: Names of subjects.
        out: Path of the CSV, with the columns of ``predict_files``; ``file`` names subject, session
            and first trial.
        stride: Time from one window's start to the next, in seconds.

    Returns:
        The file written.

    Raises:
        AffectbenchError: No such dataset or subject, or files that are not the publisher's.
        BenchmarkError: Recordings that do not fit the model; nothing is written.
    """
    module = DATASETS[dataset]
    options = {option: True for name, option in module.optional.items() if name in predictor.inputs}
    reader = module.make_reader(root if module.has_files else None, **options)
    tables = []
    for subject in module.check_subjects(reader, subjects):
        for recording in reader.read(subject):
            if isinstance(recording, Recording):
                name = f"{subject} session {recording.session}"
                if recording.segments:
                    name += f" trial {recording.segments[0].trial}"
                signals = preprocess(recording.signals, module.preprocessing)
                tables.append(_table(predictor, name, signals, None, stride)[1])
    write_text(out, csv_text(pd.concat(tables), "%.4f"))
    return [out]


def _table(
    predictor: Predictor,
    name: str,
    signals: Mapping[str, Signal],
    start: float | None,
    stride: float,
) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    """Return the starts of windows in seconds, and a table with one row for each."""
    seconds, probabilities = predictor.predict(signals, stride)
    table = pd.DataFrame({"file": name, "start": seconds})
    table["time"] = [_utc(start + second) if start is not None else "" for second in seconds]
    table["predicted"] = np.array(predictor.classes)[probabilities.argmax(axis=1)]
    for position, label in enumerate(predictor.classes):
        table[f"p_{label}"] = probabilities[:, position]
    return seconds, table


def _read(path: Path) -> tuple[float | None, Mapping[str, Signal]]:
    """Return the start in UTC seconds, if known, and the signals as a model takes them."""
    if path.is_dir():
        session = read_session(path)
        return session.start, preprocess(session.signals, EMPATICA_E4.preprocessing)
    if path.suffix == ".pkl" and path.is_file():
        items = WESADReader(path.parent.parent).read(path.stem)
        (recording,) = (item for item in items if isinstance(item, Recording))
        return None, preprocess(recording.signals, WESAD.preprocessing)
    raise BenchmarkError(
        f"{path}: expected a session folder of an Empatica E4 ({', '.join(FILES.values())}) or a "
        "SX/SX.pkl of WESAD; subjects of any other dataset with --dataset and --root"
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
