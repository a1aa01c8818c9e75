"""EEGMAT made up: the publisher's files, with a planted effect of mental arithmetic.

    Subject00_1.edf    rest: 21 channels at 500 Hz and annotations, 16 bits a sample
    Subject00_2.edf    serial subtraction

As in the published files, the whole numbers of each channel span its own range. A file takes 21 kB
for each second. Faults: one shorter and one longer rest, a person with two sexes. The table
subject-info.csv is not written.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.eegmat import EEG, SFREQ, SUBJECTS
from datamodules.errors import AffectbenchError
from datamodules.synthesis.edf import BITS_16, Channel, write_edf
from datamodules.synthesis.eeg import Head, draw_head, eeg
from datamodules.synthesis.files import new_file
from datamodules.synthesis.folders import check_request
from datamodules.synthesis.physiology import Person, Phase, draw_person, session

Samples = npt.NDArray[np.float64]

SECONDS = (182, 62)
"""Length of the two files."""
OTHER_REST = {"Subject04": 170, "Subject10": 188}
SHORTEST_REST = 60
LEVELS = (0.1, 0.9)
"""Planted arousal at rest and while subtracting."""
FILTERING = "HP:0.500000Hz LP:45.000000Hz RF:50Hz"
RECORDER = "Startdate 01-JAN-2011 0 Doctor made_up"
EARS = 4.0
"""Standard deviation of A2-A1 in microvolts."""


def write(
    root: Path,
    n_subjects: int = len(SUBJECTS),
    seed: int = 0,
    effect: float = 1.0,
    rest: int = SECONDS[0],
) -> None:
    """Write the first people of a made-up EEGMAT.

    Args:
        root: Folder of the files; made if it does not exist.
        n_subjects: 1 to 36. A person does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of arithmetic on the signals; 0 for none.
        rest: Seconds of rest, 60 or more; two people have a little less and more of the full 182.

    Raises:
        AffectbenchError: A number of people, an effect or a length out of range, or files that
            exist; nothing is written then.
    """
    if rest < SHORTEST_REST:
        raise AffectbenchError(f"expected {SHORTEST_REST} s of rest or more, found {rest}")
    names = [f"{subject}_1.edf" for subject in SUBJECTS]
    check_request(root, names, n_subjects, effect)
    check_request(root, [f"{subject}_2.edf" for subject in SUBJECTS], n_subjects, effect)
    for number, subject in enumerate(SUBJECTS[:n_subjects]):
        nature, life = np.random.default_rng([seed, number]).spawn(2)
        person, head = draw_person(nature), draw_head(nature, len(EEG))
        female = bool(nature.integers(2))
        first = OTHER_REST.get(subject, rest) if rest == SECONDS[0] else rest
        for part, seconds in enumerate((first, SECONDS[1])):
            values = _record(life, person, head, seconds, LEVELS[part], effect)
            sex = "MF"[female != (subject == SUBJECTS[0] and part == 1)]
            with new_file(root / f"{subject}_{part + 1}.edf") as path:
                _write(path, values, f"{number} {sex} 01-JAN-1990 {subject}")


def _record(
    rng: np.random.Generator,
    person: Person,
    head: Head,
    seconds: int,
    level: float,
    effect: float,
) -> Samples:
    """Make up the 21 channels of a file: EEG and A2-A1 in microvolts, ECG in millivolts."""
    brain, ears, body = rng.spawn(3)
    samples = eeg(brain, head, seconds, SFREQ, valence=0.5, arousal=level, effect=effect)
    made = session(body, [Phase("", seconds, level)], effect, {"ecg": SFREQ}, person)
    between = EARS * ears.standard_normal((1, samples.shape[1]))
    return np.concatenate([samples, between, made.signals["ecg"].samples])


def _write(path: Path, values: Samples, person: str) -> None:
    labels = [*(f"EEG {name}" for name in EEG), "EEG A2-A1", "ECG ECG"]
    units = [*["uV"] * (len(EEG) + 1), "mV"]
    channels = [
        Channel(
            label,
            unit,
            float(f"{samples.min():.6g}"[:8]),
            float(f"{samples.max():.6g}"[:8]),
            filtering=FILTERING,
            bits=BITS_16,
        )
        for label, unit, samples in zip(labels, units, values, strict=True)
    ]
    digital = [channel.digital(row) for channel, row in zip(channels, values, strict=True)]
    start = datetime(2011, 1, 1, 11)
    write_edf(path, channels, np.stack(digital), round(SFREQ), start, person, RECORDER)
