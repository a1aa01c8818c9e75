"""Synthetic: made-up wrist recordings with a planted effect, for trying the suite without data.

The signals are those of an Empatica E4. Heart rate, its variability, skin conductance and
temperature depend on the condition as strongly as ``effect`` says; motion does not, nor does
the time since the start, and with ``effect=0`` nothing does. Scores here say that the suite
works, never how good a model is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.formats import empatica
from datamodules.signals.preprocessing import BVP_BEATS, EDA_PARTS, derived_shapes
from datamodules.signals.recording import Recording
from datamodules.synthesis.physiology import Phase, session
from datamodules.tasks import ConditionTask

N_PHASES = 8
"""Number of phases, half of them stress; the order differs from subject to subject."""
UNIT = 60.0
"""Length of a score unit in seconds; a phase holds at least one."""
AROUSAL = {"baseline": 0.0, "stress": 1.0}


@dataclass(frozen=True)
class SyntheticReader:
    """Makes up recordings; the same arguments give the same samples.

    Args:
        n_subjects: Number of subjects.
        effect: Strength of the effect of stress on the signals; 0 for no effect.
        seed: Seed of all random numbers.
        phase: Length of a phase in seconds; a session has eight.
    """

    n_subjects: int = 4
    effect: float = 1.0
    seed: int = 0
    phase: float = 180.0

    def __post_init__(self) -> None:
        if self.n_subjects < 1 or self.effect < 0 or self.phase < UNIT:
            raise IncompatibleRunError(
                f"Synthetic: expected n_subjects >= 1, effect >= 0 and phase >= {UNIT:g} s, "
                f"found {self}"
            )

    @property
    def subjects(self) -> tuple[str, ...]:
        """S1, S2, ..."""
        return tuple(f"S{number + 1}" for number in range(self.n_subjects))

    def files(self, subject: str) -> tuple[Path, ...]:
        """Return no file, as nothing is read."""
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        """Yield one session with as many phases of stress as of rest, in random order."""
        rng = np.random.default_rng([self.seed, self.subjects.index(subject)])
        conditions = rng.permutation(np.repeat(list(AROUSAL), N_PHASES // len(AROUSAL)))
        phases = [Phase(str(name), self.phase, AROUSAL[str(name)]) for name in conditions]
        made = session(rng, phases, self.effect)
        yield Recording(subject, "1", made.signals, made.segments)


PREPROCESSING = {**EDA_PARTS, **BVP_BEATS}
"""Parts of skin conductance, and heart beats."""

SYNTHETIC = Dataset(
    name="synthetic",
    title="Synthetic",
    reader=SyntheticReader,
    tasks={
        "stress": ConditionTask(
            "stress",
            tuple(AROUSAL),
            {"baseline": 0, "stress": 1},
            source="made up, see synthesis",
            rest=("baseline",),
        )
    },
    signals=derived_shapes(empatica.SIGNALS, PREPROCESSING),
    preprocessing=PREPROCESSING,
    unit=UNIT,
    access="Made up when it is read.",
    layout="no files",
    has_files=False,
)
