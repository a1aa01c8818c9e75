"""DEAP made up: the publisher's files, with a planted effect in them.

    data_preprocessed_python/s01.dat   Python 2 binary pickle, opcode for opcode as cPickle's, or
    data_preprocessed_matlab/s01.mat   the same arrays for Matlab

A subject of 40 videos is 103 MB, whatever is in it, and takes about a second.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy

from datamodules.deap import (
    BASELINE,
    CHANNELS,
    FILES,
    N_CHANNELS,
    N_TIMES,
    N_VIDEOS,
    SCALE,
    SFREQ,
    SUBJECTS,
    VIDEO,
    Container,
)
from datamodules.errors import AffectbenchError
from datamodules.synthesis.eeg import Head, draw_head, eeg
from datamodules.synthesis.files import new_file
from datamodules.synthesis.folders import check_request
from datamodules.synthesis.physiology import Person, draw_person
from datamodules.synthesis.pickles import write_python2_binary
from datamodules.synthesis.trials import body, draw_stimuli, felt, rate

Samples = npt.NDArray[np.float64]

BODY = dict.fromkeys(("eda", "resp", "bvp", "temp", "emg"), SFREQ)
OFFSET_LOST = ("s02", "s06")
"""Subjects whose resistances are published without their offset: around zero."""
DROPOUT = ("s03", 2)
"""Subject and video in which the electrode reads 0 Ohm for half a second."""
SMILE = 0.5
"""Logarithm of the zygomatic EMG's amplitude from lowest to highest valence."""
BLINKS = 15.0
"""Number of blinks a minute."""


def write(
    root: Path,
    n_subjects: int = 6,
    seed: int = 0,
    effect: float = 1.0,
    container: Container = "python",
    n_videos: int = N_VIDEOS,
) -> None:
    """Write the first subjects of a made-up DEAP.

    Args:
        root: Parent folder of the new folder; made if it does not exist.
        n_subjects: 1 to 32. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of ratings on the signals; 0 for none.
        container: ``"python"`` or ``"matlab"``.
        n_videos: Fewer than the publisher's 40 make smaller files, which the reader takes with
            its option of the same name.

    Raises:
        AffectbenchError: A number of subjects or videos, an effect out of range, an unknown
            container, or a subject's file that exists; nothing is written then.
    """
    if container not in FILES or not 1 <= n_videos <= N_VIDEOS:
        raise AffectbenchError(
            f"expected a container among {', '.join(FILES)} and 1 to {N_VIDEOS} videos, found "
            f"{container!r} and {n_videos}"
        )
    folder, ending = FILES[container]
    check_request(root, [f"{folder}/{name}{ending}" for name in SUBJECTS], n_subjects, effect)
    stimuli = draw_stimuli(np.random.default_rng([seed, 0]), n_videos)
    for number, subject in enumerate(SUBJECTS[:n_subjects], start=1):
        rng = np.random.default_rng([seed, number])
        content = _subject(rng, subject, stimuli, effect)
        with new_file(root / folder / f"{subject}{ending}") as path:
            if container == "matlab":
                scipy.io.savemat(path, content)
                continue
            with path.open("wb") as file:
                write_python2_binary(content, file)


def _subject(
    rng: np.random.Generator, subject: str, stimuli: Samples, effect: float
) -> dict[str, Samples]:
    """Make up a subject's file: labels (videos, 4) and data (videos, channels, samples)."""
    opinion, nature, *streams = rng.spawn(2 + len(stimuli))
    pair = rate(opinion, stimuli)
    others = np.column_stack([pair.mean(axis=1), pair[:, 0]]) + opinion.normal(0, 1.5, pair.shape)
    labels = np.clip(np.column_stack([pair, others]), *SCALE).round(2)
    head, person = draw_head(nature, len(CHANNELS["eeg"].names)), draw_person(nature)
    data = np.empty((len(stimuli), N_CHANNELS, N_TIMES))
    for row, stream in enumerate(streams):
        for name, samples in _trial(stream, head, person, felt(labels[row, :2]), effect).items():
            data[row, CHANNELS[name].rows] = samples
    gsr = data[:, CHANNELS["eda"].rows]
    if subject in OFFSET_LOST:
        gsr -= gsr.mean(axis=2, keepdims=True)
    if subject == DROPOUT[0] and len(data) >= DROPOUT[1]:
        gsr[DROPOUT[1] - 1, :, N_TIMES // 2 : N_TIMES // 2 + round(SFREQ / 2)] = 0.0
    return {"labels": labels, "data": data}


def _trial(
    rng: np.random.Generator, head: Head, person: Person, levels: Samples, effect: float
) -> Mapping[str, Samples]:
    """Make up signals by name, shape (C, N_TIMES), in the publisher's units."""
    valence, arousal = levels.tolist()
    made = body(rng, person, levels, VIDEO, BODY, effect, BASELINE)
    rest = eeg(rng, head, BASELINE, SFREQ, 0.5, 0.0, effect)
    watching = eeg(rng, head, VIDEO, SFREQ, valence, arousal, effect)
    smile = 10 * np.exp(effect * SMILE * (valence - 0.5)) * rng.standard_normal((1, N_TIMES))
    return {
        "eeg": np.hstack([rest, watching]),
        "eog": _eyes(rng),
        "emg": np.vstack([smile, 1000 * made["emg"]]),
        "eda": 1e6 / made["eda"],
        "resp": made["resp"],
        "bvp": made["bvp"],
        "temp": made["temp"],
    }


def _eyes(rng: np.random.Generator) -> Samples:
    """Make up noise with blinks in the vertical channel, in microvolts, independent of ratings."""
    blinks = rng.random(N_TIMES) < BLINKS / 60 / SFREQ
    train = np.convolve(blinks, 150 * np.hanning(round(0.3 * SFREQ)), mode="same")
    return 5 * rng.standard_normal((2, N_TIMES)) + np.outer([0.1, 1.0], train)
