"""Noise: white noise in trials as long as films, with what flawed protocols feed on planted in.

A trial holds nothing, or exactly what was planted.

Twenty channels of white noise in rows of 4 s stand where SEED-V has differential entropy, and a
trial is as long as a film of its first session: only two of the fifteen have as many rows, so
that whoever sees the length of a trial knows its emotion. Everybody saw the films in another
order. What the options plant shows that an honest protocol finds an effect, and how a flawed
one finds what is none (``affectbench selftest``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.seed_v import EMOTIONS, LABELS, ROW_SECONDS, STARTS, STOPS
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.splits import SUBJECT_SPLITS
from datamodules.tasks import ConditionTask, RatingTask

CHANNELS = tuple(f"noise {number}" for number in range(1, 21))
SESSION = "1"
"""Session of SEED-V whose films are taken; they are of different lengths."""
ROWS = tuple(
    (stop - start) // ROW_SECONDS
    for start, stop in zip(STARTS[SESSION], STOPS[SESSION], strict=True)
)
"""Number of rows of each film; 17 to 74."""
BIAS = 0.4
"""Largest shift of a subject's ratings from the middle of the scale."""


@dataclass(frozen=True)
class NoiseReader:
    """Makes up trials; the same arguments give the same samples.

    Patterns are random directions over the channels, of unit length, that are added to every row of
    a trial as often as the options say; a row's own noise has unit variance in every channel.

    Args:
        n_subjects: Number of subjects.
        seed: Seed of all random numbers.
        effect: Strength of a pattern of the emotion that all subjects share: an honest model may
            find it.
        personal: Strength of a pattern of the emotion that differs from subject to subject.
        lasting: Strength of a pattern of each trial, independent of its emotion.
        film: Strength of a pattern of each film that all subjects share, independent of its
            emotion.
        rated: Strength of a pattern added to trials the subject rates above their own median.
        artefact: Strength of noise in one channel, another one for each subject; in that channel
            the other subjects have hardly any.
        equal: Cut all trials to the length of the shortest.
        permuted: Permute the emotions of a subject's trials after everything was planted.
    """

    n_subjects: int = 16
    seed: int = 0
    effect: float = 0.0
    personal: float = 0.0
    lasting: float = 0.0
    rated: float = 0.0
    artefact: float = 0.0
    film: float = 0.0
    equal: bool = False
    permuted: bool = False

    def __post_init__(self) -> None:
        sizes = (self.effect, self.personal, self.lasting, self.rated, self.artefact, self.film)
        if self.n_subjects < 1 or any(size < 0 for size in sizes):
            raise IncompatibleRunError(
                f"Noise: expected n_subjects >= 1 and nothing planted below 0, found {self}"
            )

    @property
    def subjects(self) -> tuple[str, ...]:
        """N1, N2, ..."""
        return tuple(f"N{number + 1}" for number in range(self.n_subjects))

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return no file, as nothing is read."""
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        """Yield one session with a trial for each film, in an order that differs by subject."""
        number = self.subjects.index(subject)
        shared = np.random.default_rng([self.seed, 0])
        rng = np.random.default_rng([self.seed, 1, number])
        common, personal = _patterns(shared, len(EMOTIONS)), _patterns(rng, len(EMOTIONS))
        (liking,) = _patterns(shared, 1)
        seen = _patterns(shared, len(ROWS))
        films = rng.permutation(len(ROWS))
        labels = np.array(LABELS[SESSION])[films]
        high = rng.permutation(np.arange(len(films)) % 2)
        ratings = 5 + rng.uniform(-BIAS, BIAS) + high - 0.5 + rng.uniform(-0.4, 0.4, len(films))
        trials = []
        for film, label, above in zip(films, labels, high, strict=True):
            rows = rng.standard_normal((ROWS[film], len(CHANNELS)))
            rows += self.effect * common[label] + self.personal * personal[label]
            rows += self.lasting * _patterns(rng, 1) + self.rated * above * liking
            rows += self.film * seen[film]
            if self.artefact:
                rows[:, : self.n_subjects] *= 1e-3
                rows[:, number % len(CHANNELS)] = self.artefact * rng.standard_normal(len(rows))
            trials.append(rows[: min(ROWS)] if self.equal else rows)
        if self.permuted:
            labels = rng.permutation(labels)
        stops = np.cumsum([len(rows) for rows in trials]) * float(ROW_SECONDS)
        starts = [0.0, *stops[:-1].tolist()]
        segments = tuple(
            Segment(
                start,
                stop,
                trial,
                {"emotion": EMOTIONS[label], "valence": float(rating)},
                f"film {film + 1}",
            )
            for trial, (start, stop, label, rating, film) in enumerate(
                zip(starts, stops.tolist(), labels, ratings, films.tolist(), strict=True), start=1
            )
        )
        samples = np.concatenate(trials).T.astype(np.float32)
        signals = {"eeg_de": Signal(samples, 1 / ROW_SECONDS, CHANNELS, "a.u.")}
        yield Recording(subject, "1", signals, segments)


def _patterns(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Draw random directions of unit length, shape (count, C)."""
    drawn = rng.standard_normal((count, len(CHANNELS)))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


NOISE = Dataset(
    name="noise",
    title="Noise",
    reader=NoiseReader,
    tasks={
        "emotion": ConditionTask(
            "emotion",
            EMOTIONS,
            {name: label for label, name in enumerate(EMOTIONS)},
            source="that of a film of SEED-V",
            annotation="emotion",
        ),
        "fear": ConditionTask(
            "fear",
            ("other", "fear"),
            {name: int(name == "fear") for name in EMOTIONS},
            source="one emotion against the four others, for what unlike classes do",
            annotation="emotion",
        ),
        "valence": RatingTask("valence", 5.0, source="made up", plane=("valence", "valence")),
    },
    signals={"eeg_de": (len(CHANNELS), 1 / ROW_SECONDS)},
    unit=None,
    splits=("subject_stimulus_k_fold", *SUBJECT_SPLITS),
    trial_seconds=(float(min(ROWS) * ROW_SECONDS), float(max(ROWS) * ROW_SECONDS)),
    access="Made up when it is read.",
    layout="no files",
    has_files=False,
)
