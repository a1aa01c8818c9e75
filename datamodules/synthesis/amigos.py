"""AMIGOS made up: the publisher's files, faults included, with a planted effect in them.

    data_preprocessed/Data_Preprocessed_P01/Data_Preprocessed_P01.mat   one folder a subject, or
    Data_Preprocessed_P01.mat                                           all in one

A subject is about 1 MB for each minute of video.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import scipy

from datamodules.amigos import (
    ANSWERS,
    ASSESSMENT,
    BASELINE,
    CHANNELS,
    EEG,
    LONG_VIDEOS,
    N_CELLS,
    N_CHANNELS,
    SCALE,
    SFREQ,
    SHORT_VIDEOS,
    SIGNALS,
    SUBJECTS,
    VIDEOS,
)
from datamodules.errors import AffectbenchError
from datamodules.synthesis.eeg import Head, draw_head, eeg
from datamodules.synthesis.files import new_file
from datamodules.synthesis.folders import check_request, new_folder
from datamodules.synthesis.physiology import Person, draw_person
from datamodules.synthesis.trials import body, draw_stimuli, felt, rate

Samples = npt.NDArray[np.float64]

BODY = dict.fromkeys(("ecg", "eda"), SFREQ)
EXTERNAL = "labels_ext_annotation"
PIECES: Mapping[str, int] = MappingProxyType(
    dict(
        zip(
            SHORT_VIDEOS + LONG_VIDEOS,
            (6, 4, 7, 5, 8, 5, 7, 5, 9, 5, 5, 6, 7, 4, 6, 5, 72, 58, 72, 44),
            strict=True,
        )
    )
)
"""Number of pieces of each video that have external annotations, whatever its made-up length."""
NO_LONG_VIDEOS = ("P08", "P24", "P28")
"""They have no external annotations either: those are of 37 subjects."""
NO_LONG_ASSESSMENT = ("P32",)
NAN_EDA = ("P02", 3)
"""Subject and cell whose GSR is NaN throughout, while EEG and ECG are sound."""
NAN_CHANNEL = ("P03", 2, 4)
"""Subject, cell and EEG channel that is NaN for two seconds."""
DROPOUT = ("P01", 2)
"""Subject and cell whose resistance is zero and below for half a second."""
NESTED = "data_preprocessed"
SECONDS = (51.0, 60.0)
LONG_SECONDS = 60.0


@dataclass(frozen=True)
class _Subject:
    """A subject, and the strength of the effect of ratings on the signals."""

    name: str
    head: Head
    person: Person
    effect: float


def write(
    root: Path,
    n_subjects: int = 6,
    seed: int = 0,
    effect: float = 1.0,
    seconds: tuple[float, float] = SECONDS,
    long_seconds: float = LONG_SECONDS,
    n_videos: int = N_CELLS,
    nested: bool = True,
) -> None:
    """Write the first subjects of a made-up AMIGOS.

    Args:
        root: Parent folder of the new folders or files; made if it does not exist.
        n_subjects: 1 to 40. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of ratings on the signals; 0 for none.
        seconds: Shortest and longest of the short videos; the publisher's are (51, 150).
        long_seconds: Length of the long videos; the publisher's are 840 to 1440.
        n_videos: Number of cells with contents, from the first; the others are empty, as missing
            ones are in the publisher's files. The short videos are the first 16.
        nested: Make a folder for each subject.

    Raises:
        AffectbenchError: A number of subjects or videos, an effect or lengths out of range, or a
            subject's file that is there already; nothing is written then.
    """
    if not (1 <= n_videos <= N_CELLS and 0 < seconds[0] <= seconds[1] and long_seconds > 0):
        raise AffectbenchError(
            f"expected 1 to {N_CELLS} videos and lengths above 0 s, found {n_videos}, {seconds} "
            f"and {long_seconds}"
        )
    parent, ending = (NESTED, "") if nested else ("", ".mat")
    names = [str(Path(parent, f"Data_Preprocessed_{name}{ending}")) for name in SUBJECTS]
    check_request(root, names, n_subjects, effect)
    shared = np.random.default_rng([seed, 0])
    stimuli = draw_stimuli(shared, N_CELLS)
    lengths = [*shared.uniform(*seconds, len(SHORT_VIDEOS)), *[long_seconds] * len(LONG_VIDEOS)]
    for number in range(n_subjects):
        rng = np.random.default_rng([seed, number + 1])
        content = _content(rng, SUBJECTS[number], stimuli, np.round(lengths, 1), effect, n_videos)
        target = root / names[number]
        if nested:
            with new_folder(target) as folder:
                scipy.io.savemat(folder / f"{target.name}.mat", content, do_compression=True)
        else:
            with new_file(target) as path:
                scipy.io.savemat(path, content, do_compression=True)


def _content(
    rng: np.random.Generator,
    name: str,
    stimuli: Samples,
    lengths: Samples,
    effect: float,
    n_videos: int,
) -> dict[str, npt.NDArray[np.object_]]:
    """Make up the contents of a subject's file: four rows of cells."""
    opinion, nature, *streams = rng.spawn(2 + N_CELLS)
    subject = _Subject(name, draw_head(nature, len(EEG)), draw_person(nature), effect)
    ratings = rate(opinion, stimuli).round(2)
    cells = {key: np.empty((1, N_CELLS), object) for key in (SIGNALS, ASSESSMENT, EXTERNAL, VIDEOS)}
    for cell, (video, stream) in enumerate(zip(PIECES, streams, strict=True)):
        is_long = video in LONG_VIDEOS
        seen = cell < n_videos and not (is_long and name in NO_LONG_VIDEOS)
        cells[VIDEOS][0, cell] = video
        cells[SIGNALS][0, cell] = np.empty((0, 0))
        cells[ASSESSMENT][0, cell] = cells[EXTERNAL][0, cell] = np.empty((1, 0))
        if seen:
            cells[SIGNALS][0, cell] = _trial(
                stream, subject, cell + 1, felt(ratings[cell]), float(lengths[cell])
            )
            if not (is_long and name in NO_LONG_ASSESSMENT):
                cells[ASSESSMENT][0, cell] = _answers(opinion, ratings[cell])
            if name not in NO_LONG_VIDEOS:
                cells[EXTERNAL][0, cell] = _external(opinion, stimuli[cell], PIECES[video])
    return cells


def _trial(
    rng: np.random.Generator, subject: _Subject, trial: int, levels: Samples, seconds: float
) -> Samples:
    """Make up the signals of a trial as published, shape (T, 17): time first."""
    valence, arousal = levels.tolist()
    made = body(rng, subject.person, levels, seconds, BODY, subject.effect, BASELINE)
    n_times = made["eda"].shape[1]
    rest = eeg(rng, subject.head, BASELINE, SFREQ, 0.5, 0.0, subject.effect)
    watching = eeg(
        rng, subject.head, n_times / SFREQ - BASELINE, SFREQ, valence, arousal, subject.effect
    )
    samples = np.empty((n_times, N_CHANNELS))
    noise = 0.02 * rng.standard_normal((2, n_times))
    samples[:, CHANNELS["eeg"].rows] = np.hstack([rest, watching]).T
    samples[:, CHANNELS["ecg"].rows] = (made["ecg"] * [[0.8], [1.0]] + noise).T
    samples[:, CHANNELS["eda"].rows] = 1e6 / made["eda"].T
    half = slice(n_times // 2, n_times // 2 + round(SFREQ / 2))
    if (subject.name, trial) == DROPOUT:
        samples[half, CHANNELS["eda"].rows] = np.linspace(0, -2000, round(SFREQ / 2))[:, None]
    if (subject.name, trial) == NAN_EDA:
        samples[:, CHANNELS["eda"].rows] = np.nan
    if (subject.name, trial) == NAN_CHANNEL[:2]:
        samples[: round(2 * SFREQ), NAN_CHANNEL[2]] = np.nan
    return samples


def _answers(rng: np.random.Generator, ratings: Samples) -> Samples:
    """Make up a self-assessment, shape (1, 12): arousal first, then valence."""
    others = np.clip(ratings.mean() + rng.normal(0, 1.5, 3), *SCALE).round(2)
    felt_too = rng.integers(0, 2, len(ANSWERS) - 5)
    return np.concatenate([ratings[::-1], others, felt_too])[None].astype(np.float64)


def _external(rng: np.random.Generator, stimulus: Samples, n_pieces: int) -> Samples:
    """Make up an external annotation, shape (n, 3): piece, valence, arousal from -1 to 1."""
    levels = np.clip(2 * stimulus - 1 + rng.normal(0, 0.1, (n_pieces, 2)), -1, 1)
    return np.column_stack([np.arange(1.0, n_pieces + 1), levels])
