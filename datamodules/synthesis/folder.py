"""An example of a folder dataset, made up: head, table and recordings of a wristband.

    dataset.yaml
    recordings.csv                     subject,start,stop,label,arousal
    recordings/P01_bvp.csv             also _eda, _temp, _acc; or .parquet, .edf, .npz

It is there to be changed into a description of one's own recordings.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import lazy_loader
import numpy as np

from datamodules.errors import AffectbenchError
from datamodules.formats.folder_head import HEAD
from datamodules.formats.tables import write_columns
from datamodules.formats.yaml_values import WORD
from datamodules.machine import extra
from datamodules.signals.recording import Signal
from datamodules.synthesis.edf import BITS_16, Channel, write_edf
from datamodules.synthesis.folders import check_free, check_request, new_folder, write_new
from datamodules.synthesis.physiology import Phase, session

pandas = lazy_loader.load("pandas")

SUBJECTS = tuple(f"P{number:02d}" for number in range(1, 100))
TABLE, FOLDER = "recordings.csv", "recordings"
PHASES: Mapping[str, tuple[float, int]] = MappingProxyType(
    {"rest": (0.0, 2), "film": (0.3, 4), "talk": (1.0, 7)}
)
"""Planted level and usual rating of arousal of the conditions, whose order differs."""
BREAK = "break"
BREAK_SECONDS = 15
"""Length of what lies before, between and after the conditions."""
SHORTEST_MINUTES = 0.1
START = datetime(2024, 3, 4, 10)
HEAD_TEXT = """\
# What the files of this folder hold: https://yaml.org, and the keys in datamodules/README.md.
title: Example of {name}
licence: made up, free to use
access: affectbench data synthesize folder
table: {table}
score_unit: 60        # seconds; trial: each row of the table is a unit
signals:
  bvp: {{file: "{folder}/{{subject}}_bvp.{format}", column: bvp, rate: 64, unit: a.u.}}
  eda: {{file: "{folder}/{{subject}}_eda.{format}", column: eda, rate: 4, unit: uS}}
  temp: {{file: "{folder}/{{subject}}_temp.{format}", column: temp, rate: 4, unit: degC}}
  acc: {{file: "{folder}/{{subject}}_acc.{format}", columns: [x, y, z], rate: 32, unit: g}}
tasks:
  stress:
    classes: [no_stress, stress]
    labels: {{rest: no_stress, film: no_stress, talk: stress, break: unused}}
  arousal: {{rating: arousal, scale: [1, 9]}}
"""


def write(
    root: Path,
    n_subjects: int = 15,
    seed: int = 0,
    effect: float = 1.0,
    minutes: float = 5.0,
    format: str = "csv",  # noqa: A002 - the name of the option
) -> None:
    """Write the example.

    Args:
        root: Folder of the dataset, named by small letters, digits and _; made if it does not
            exist.
        n_subjects: 1 to 99. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of the conditions on the signals; 0 for none.
        minutes: Length of each of the three conditions.
        format: Kind of the files of samples: csv, parquet, edf or npz.

    Raises:
        AffectbenchError: An argument out of range, a name that no dataset can have, files that
            exist, or no library for the format; nothing is written then.
    """
    name = root.absolute().name.casefold()
    if not WORD.fullmatch(name):
        raise AffectbenchError(
            f"expected a folder named by small letters, digits and _, as datasets are, found {name}"
        )
    if not SHORTEST_MINUTES <= minutes < float("inf"):
        raise AffectbenchError(f"expected {SHORTEST_MINUTES} minutes or more, found {minutes}")
    if format not in FORMATS:
        raise AffectbenchError(f"expected a format among {', '.join(FORMATS)}, found {format}")
    check_request(root, SUBJECTS, n_subjects, effect)
    check_free(root, [HEAD, TABLE, FOLDER])
    rows = ["subject,start,stop,label,arousal"]
    with new_folder(root / FOLDER) as folder:
        for number, subject in enumerate(SUBJECTS[:n_subjects]):
            bodies, paper = np.random.default_rng([seed, number]).spawn(2)
            phases = [Phase("", BREAK_SECONDS, 0.0)]
            for label in map(str, paper.permutation(list(PHASES))):
                level, rating = PHASES[label]
                start = sum(phase.seconds for phase in phases)
                phases += [Phase(label, round(60 * minutes), level), Phase("", BREAK_SECONDS, 0.0)]
                stop = start + phases[-2].seconds
                said = int(np.clip(rating + paper.integers(-1, 2), 1, 9))
                rows += [
                    f"{subject},{start:g},{stop:g},{label},{said}",
                    f"{subject},{stop:g},{stop + BREAK_SECONDS:g},{BREAK},",
                ]
            for signal_name, signal in session(bodies, phases, effect).signals.items():
                FORMATS[format](folder / f"{subject}_{signal_name}.{format}", signal)
    write_new(root / TABLE, "".join(f"{row}\n" for row in rows))
    text = HEAD_TEXT.format(name=name, table=TABLE, folder=FOLDER, format=format)
    write_new(root / HEAD, text)


def _write_csv(path: Path, signal: Signal) -> None:
    write_columns(path, dict(zip(signal.channels, signal.samples, strict=True)))


def _write_npz(path: Path, signal: Signal) -> None:
    np.savez(path, **dict(zip(signal.channels, signal.samples, strict=True)))


def _write_parquet(path: Path, signal: Signal) -> None:
    frame = pandas.DataFrame(dict(zip(signal.channels, signal.samples, strict=True)))
    with extra("pyarrow", "parquet", f"{path}: to write Parquet"):
        import pyarrow  # noqa: F401  # an extra, which pandas uses
    frame.to_parquet(path, engine="pyarrow", index=False)


def _write_edf(path: Path, signal: Signal) -> None:
    samples = signal.samples.astype(np.float64)
    channels = [
        Channel(name, signal.unit, float(f"{low:.6g}"[:8]), float(f"{high:.6g}"[:8]), bits=BITS_16)
        for name, low, high in zip(
            signal.channels, samples.min(axis=1), samples.max(axis=1), strict=True
        )
    ]
    digital = [channel.digital(row) for channel, row in zip(channels, samples, strict=True)]
    write_edf(path, channels, np.stack(digital), round(signal.sfreq), START)


FORMATS: Mapping[str, Callable[[Path, Signal], None]] = MappingProxyType(
    {"csv": _write_csv, "parquet": _write_parquet, "edf": _write_edf, "npz": _write_npz}
)
"""Writers of the files of samples, by their ending."""
