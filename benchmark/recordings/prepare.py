"""Recordings before they are used: read them into the cache, make them up."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.plan.expand import Prepared
from benchmark.run import Value
from datamodules.cache import Archive
from datamodules.catalogue import DATAMODULES
from datamodules.datamodule import EmotionDataModule, store_subjects
from datamodules.errors import AffectbenchError
from datamodules.synthesis import (
    amigos,
    deap,
    empatica_e4,
    mahnob_hci,
    pmemo,
    seed_v,
    stress_predict,
    wesad,
)

SYNTHESIZERS: dict[str, Callable[..., None]] = {
    "wesad": wesad.write,
    "stress_predict": stress_predict.write,
    "deap": deap.write,
    "amigos": amigos.write,
    "mahnob_hci": mahnob_hci.write,
    "pmemo": pmemo.write,
    "seed_v": seed_v.write,
    "empatica_e4": empatica_e4.write,
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
    left_out = {s: reason_without_place(module, root, s, error) for s, error in failed.items()}
    sessions = max(len({found.session for found in s.recordings}) for s in stored.values())
    return Prepared(tuple(stored), left_out, archive.key, sessions)


def reason_without_place(
    module: type[EmotionDataModule], root: Path, subject: str, error: AffectbenchError
) -> str:
    """Why a subject is left out, in words that are equal for equal reasons and name no folder."""
    text = str(error).replace(str(root), module.title)
    name = re.escape(subject)  # in names of files and of people, not where it may be a number
    places = rf"(?<![A-Za-z0-9]){name}(?=[/_.])|(?<=[/_]){name}(?=[./ '])|(?<=participant ){name}\b"
    return re.sub(places, "<subject>", text)


def synthesize(
    dataset: str,
    root: Path,
    n_subjects: int,
    seed: int,
    effect: float,
    options: Mapping[str, Value] | None = None,
) -> int:
    """Write made-up recordings in the publisher's files and folders.

    Args:
        dataset: Catalogue key.
        root: Where they go.
        n_subjects: How many are made up.
        seed: Of everything.
        effect: How strongly labels show in the signals.
        options: Other arguments of the dataset's writer.

    Returns:
        Number of subjects written.

    Raises:
        BenchmarkError: No writer for this dataset, or an option that it has not.
    """
    if dataset not in SYNTHESIZERS:
        raise BenchmarkError(
            f"{dataset} cannot be synthesized: expected one of {', '.join(SYNTHESIZERS)}. The "
            "dataset synthetic needs no files at all."
        )
    write = SYNTHESIZERS[dataset]
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(write).parameters.items()
        if name not in ("root", "n_subjects", "seed", "effect")
    }
    for name, value in (options or {}).items():
        if name not in known or type(value) is not type(known[name]):
            listed = ", ".join(f"{name}={default}" for name, default in known.items())
            raise BenchmarkError(
                f"{dataset}: expected options as in {listed or 'none'}, found {name}={value}"
            )
    write(root, **(options or {}), n_subjects=n_subjects, seed=seed, effect=effect)
    return n_subjects
