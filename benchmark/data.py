"""Recordings before they are used: look at them, make them up, fetch those that may be fetched."""

import hashlib
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.run import BenchmarkError
from benchmark.suite import Prepared
from datamodules import DATAMODULES
from datamodules.base import EmotionDataModule, store_subjects
from datamodules.cache import Archive, StoredSubject, as_recording
from datamodules.errors import AffectbenchError
from datamodules.synthesis import empatica_e4 as empatica_e4_synthesis
from datamodules.synthesis import stress_predict as stress_predict_synthesis
from datamodules.synthesis import wesad as wesad_synthesis

FLAT_EDA = 0.01
"""Microsiemens; a recording whose skin conductance varies by less was not worn."""
PLAUSIBLE_TEMPERATURE = (15.0, 45.0)
"""Degrees Celsius at the skin."""


@dataclass(frozen=True)
class Download:
    """An archive that may be fetched without an agreement.

    Args:
        url: Of a .tar.gz.
        inside: Folder in the archive that holds the dataset.
        parts: Files and folders of it that are kept.
        sha256: Digest of the kept files, as ``tree_digest`` computes it.
    """

    url: str
    inside: str
    parts: tuple[str, ...]
    sha256: str


STRESS_PREDICT_COMMIT = "f49d2eae603f90c3f0140fbbbae7c0480d651023"
DOWNLOADS = {
    "stress_predict": Download(
        "https://codeload.github.com/italha-d/Stress-Predict-Dataset/tar.gz/"
        + STRESS_PREDICT_COMMIT,
        f"Stress-Predict-Dataset-{STRESS_PREDICT_COMMIT}",
        ("Raw_data", "Processed_data", "LICENSE"),
        "b1664f80ed77429cdc5a0273cff4e9aeec6ac9933b8912681be760d6dd8cad53",
    )
}
SYNTHESIZERS: dict[str, Callable[..., None]] = {
    "wesad": wesad_synthesis.write,
    "stress_predict": stress_predict_synthesis.write,
    "empatica_e4": empatica_e4_synthesis.write,
}
"""Called with the folder, and by name ``n_subjects``, ``seed`` and ``effect``."""


def prepare(
    dataset: str, root: Path, cache: Path, options: Mapping[str, object], subjects: Sequence[str]
) -> Prepared:
    """Read the subjects of a dataset into the cache, leaving out those that cannot be read.

    Args:
        dataset: Catalogue key.
        root: Of the raw files.
        cache: Of prepared recordings.
        options: Of the reader.
        subjects: Who is wanted; empty: everybody.

    Raises:
        AffectbenchError: Not one subject can be read.
    """
    module = DATAMODULES[dataset]
    reader = module.make_reader(root if module.has_files else None, **options)
    wanted = module.check_subjects(reader, subjects or None)
    stored, failed = store_subjects(module, reader, wanted, cache)
    if not stored:
        first = next(iter(failed.values()))
        raise type(first)(
            f"none of the {len(wanted)} subjects of {module.title} can be read; the first: {first}"
        )
    archive = Archive(cache / dataset, tuple(stored.values()))
    left_out = {s: _reason(module, root, s, error) for s, error in failed.items()}
    return Prepared(tuple(stored), left_out, archive.key)


def _reason(
    module: type[EmotionDataModule], root: Path, subject: str, error: AffectbenchError
) -> str:
    """Why a subject is left out, in words that are equal for equal reasons and name no folder."""
    return str(error).replace(str(root), module.title).replace(subject, "<subject>")


def check(
    dataset: str, root: Path, cache: Path, subjects: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """What is there, and what looks wrong.

    Returns:
        A row for each subject that can be used, and why the others cannot.

    Raises:
        DatasetNotFoundError: No such dataset or subject.
    """
    module = DATAMODULES[dataset]
    reader = module.make_reader(root if module.has_files else None)
    wanted = module.check_subjects(reader, subjects or None)
    stored, failed = store_subjects(module, reader, wanted, cache)
    rows = [{"subject": name, **_described(module, found)} for name, found in stored.items()]
    return pd.DataFrame(rows), {s: _reason(module, root, s, e) for s, e in failed.items()}


def _described(module: type[EmotionDataModule], stored: StoredSubject) -> dict[str, str]:
    recordings = [as_recording(stored, recording) for recording in stored.recordings]
    doubts = []
    for recording in recordings:
        for name in module.signals:
            if name not in recording.signals:
                doubts.append(f"no {name}")
                continue
            samples = recording.signals[name].samples
            kind = name.rpartition("_")[2]
            if kind == "eda" and np.ptp(samples) < FLAT_EDA:
                doubts.append(f"{name} is flat")
            if kind == "temp":
                low, high = float(samples.min()), float(samples.max())
                if low < PLAUSIBLE_TEMPERATURE[0] or high > PLAUSIBLE_TEMPERATURE[1]:
                    doubts.append(f"{name} from {low:.1f} to {high:.1f}")
    described = {"minutes": f"{sum(recording.duration for recording in recordings) / 60:.1f}"}
    for task in module.tasks.values():
        seconds = dict.fromkeys(task.classes, 0.0)
        for recording in recordings:
            for segment in recording.segments:
                label = task.label(segment)
                if label is not None:
                    seconds[task.classes[label]] += segment.duration
        described[f"{task.name} (s)"] = " ".join(f"{k}:{v:.0f}" for k, v in seconds.items())
    return {**described, "doubts": "; ".join(doubts) or "none"}


def synthesize(dataset: str, root: Path, n_subjects: int, seed: int, effect: float) -> int:
    """Write made-up recordings in the publisher's files and folders.

    Returns:
        Number of subjects written.

    Raises:
        BenchmarkError: No writer for this dataset.
    """
    if dataset not in SYNTHESIZERS:
        raise BenchmarkError(
            f"{dataset} cannot be synthesized: expected one of {', '.join(SYNTHESIZERS)}. The "
            "dataset synthetic needs no files at all."
        )
    SYNTHESIZERS[dataset](root, n_subjects=n_subjects, seed=seed, effect=effect)
    return n_subjects


def download(dataset: str, root: Path) -> None:
    """Fetch a dataset that may be fetched without an agreement, and check what came.

    Raises:
        BenchmarkError: It may not be fetched, is there already, or what came is not what is on
            record. Nothing is left behind then.
    """
    module = DATAMODULES[dataset]
    if dataset not in DOWNLOADS:
        raise BenchmarkError(
            f"{module.title} is not downloaded by this command. {module.access} "
            f"It then expects {module.layout}."
        )
    source = DOWNLOADS[dataset]
    if root.exists() and any(root.iterdir()):
        raise BenchmarkError(f"{root} is not empty: expected a folder to be made")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as name:
        unpacked = Path(name)
        try:
            with (
                urllib.request.urlopen(source.url, timeout=60) as response,
                tarfile.open(fileobj=response, mode="r|gz") as archive,
            ):
                archive.extractall(unpacked, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise BenchmarkError(f"{source.url}: the download failed ({error}); try again") from (
                error
            )
        inside = unpacked / source.inside
        found = tree_digest(inside, source.parts)
        if found != source.sha256:
            raise BenchmarkError(
                f"{source.url}: expected files with the digest {source.sha256}, found {found}. "
                "Nothing was kept; the publisher may have changed them."
            )
        for part in inside.iterdir():
            if part.name not in source.parts:
                shutil.rmtree(part) if part.is_dir() else part.unlink()
        inside.rename(root)


def tree_digest(folder: Path, parts: Sequence[str]) -> str:
    """sha256 over path and sha256 of every file of some parts of a folder, in order of path."""
    total = hashlib.sha256()
    for part in parts:
        root = folder / part
        files = sorted(root.rglob("*")) if root.is_dir() else [root]
        for path in files:
            if path.is_file():
                with path.open("rb") as file:
                    own = hashlib.file_digest(file, "sha256").hexdigest()
                total.update(f"{path.relative_to(folder).as_posix()} {own}\n".encode())
    return total.hexdigest()
