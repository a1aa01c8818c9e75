"""MAHNOB-HCI made up: the publisher's folders and files, with a planted effect in them.

    Sessions/2/session.xml                    who, what, when, and the ratings
    Sessions/2/Part_1_S_Trial1_emotion.bdf    47 channels at 256 Hz, 24 bits a sample
    Sessions/1/...                            the neutral clip before it

A .bdf file takes 36 kB for each second. Videos, gaze and sound are not written. Faults: three
participants without .bdf files (their folders with session.xml are there), three without those of
the last trials, a trial without ratings, one with a single mark, one that begins while the
amplifier is idle, one participant with the amplifier's own bits above the marks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import AffectbenchError
from datamodules.mahnob_hci import (
    ABDOMEN,
    BELT,
    EEG,
    FINGER,
    IDLE,
    LEFT,
    MARGIN,
    NO_PHYSIOLOGY,
    RIGHT,
    SFREQ,
    SKIN,
    STATUS,
    SUBJECTS,
)
from datamodules.synthesis.edf import BITS_24, Channel, Digital, write_bdf
from datamodules.synthesis.eeg import Head, draw_head, eeg
from datamodules.synthesis.folders import check_request, new_folder
from datamodules.synthesis.physiology import Person, draw_person
from datamodules.synthesis.trials import body, draw_stimuli, felt, rate

Samples = npt.NDArray[np.float64]

CLIPS = (
    *("69", "55", "58", "earworm_f", "53", "80", "52", "79", "73", "90", "107", "146", "30"),
    *("138", "newyork_f", "111", "detroit_f", "cats_f", "dallas_f", "funny_f"),
)
"""The published stimuli, without ``.avi`` (one source)."""
NEUTRAL_CLIPS = ("colorbars_Final", "seagulls_Final", "sticks_Final", "waves_Final")
"""Clips that are shown between them (one source)."""
CLIP_SECONDS, NEUTRAL_SECONDS = (34.9, 117.0), (5.3, 22.2)
"""Shortest and longest."""
RECORDED = {3: 17, 9: 14, 16: 16}
"""Number of trials with a .bdf file, of 20, of participants for whom that is less."""
FOLDERS = 130
"""Difference of the numbers of the first folders of one participant and the next."""
MARK, MARK_SAMPLES = 268, 26
"""Status at the start and at the end of a stimulus (one source); for how long is made up."""
KEYWORDS = {(0, 0): 5, (0, 1): 3, (1, 0): 11, (1, 1): 4}
"""``feltEmo`` by high valence and high arousal: sadness, fear, amusement, joy."""
PAUSE = 20
"""Seconds between two recordings."""

UNRATED, ONE_MARK, IDLE_START = (1, 2), (2, 2), (3, 1)
"""Participant and trial without ratings, without a second mark, idle at the start."""
IDLE_SECONDS = 12
OWN_BITS = {2: 0x180000}
"""Bits that the amplifier writes above the marks, by participant."""


MICROVOLTS = (-262144, 262143)
"""BioSemi's range, of 1/32 microvolt a step."""
ELECTRODE, FILTERING = "Active Electrode, pin type", "HP: DC; LP: 67 Hz"
CHANNELS = (
    *(Channel(label, "uV", *MICROVOLTS, ELECTRODE, FILTERING) for label in EEG),
    *(Channel(f"EXG{n}", "uV", *MICROVOLTS, ELECTRODE, FILTERING) for n in range(1, 9)),
    *(Channel(f"GSR{n}", "Ohm", *BITS_24, "GSR sensor", FILTERING) for n in (1, 2)),
    *(Channel(f"Erg{n}", "uV", *MICROVOLTS, "ERGO Sensor", FILTERING) for n in (1, 2)),
    Channel(BELT, "uV", *MICROVOLTS, "Respiration belt", FILTERING),
    Channel(FINGER, "C", -1000, 1000, "Temperature sensor", FILTERING),
    Channel(STATUS, "Boolean", *BITS_24, "Triggers and Status", "No filtering"),
)
"""The 47 published ones. Texts and, for all but electrodes and Status, units and ranges are made
up: the published ones are not known."""


@dataclass(frozen=True)
class Clip:
    """A clip that one person saw, and its ratings of valence and arousal; None if it is neutral."""

    participant: int
    trial: int
    folder: int
    start: datetime
    media: str
    seconds: float
    ratings: tuple[int, int] | None

    @property
    def where(self) -> tuple[int, int] | None:
        """Participant and trial; None for a neutral clip."""
        return (self.participant, self.trial) if self.ratings else None

    @property
    def recorded(self) -> int:
        """Length of its recording in full seconds."""
        return int(np.ceil(self.seconds + 2 * MARGIN))

    @property
    def bdf(self) -> str:
        """Name of its .bdf file."""
        kind = "S" if self.ratings else "N"
        return f"Part_{self.participant}_{kind}_Trial{self.trial}_emotion.bdf"


def write(
    root: Path,
    n_subjects: int = 6,
    seed: int = 0,
    effect: float = 1.0,
    n_trials: int = 6,
    longest: float = 60.0,
    neutral: bool = True,
) -> None:
    """Write the first participants of a made-up MAHNOB-HCI.

    Args:
        root: Parent folder of ``Sessions``; made if it does not exist.
        n_subjects: 1 to 27 of those with physiology; others between them get folders without.
        seed: Seed of all random numbers. A participant does not depend on how many there are.
        effect: Strength of the effect of feelings on the signals; 0 for none.
        n_trials: 2 to 20 clips, the same for everybody, in an order of their own.
        longest: Seconds that the longest clip lasts, 34.9 to 117; the shortest lasts 34.9.
        neutral: Write the .bdf files of the neutral clips too; their session.xml are there anyway.

    Raises:
        AffectbenchError: An argument out of range, or a ``Sessions`` that exists; nothing is
            written then.
    """
    check_request(root, ["Sessions"] * len(SUBJECTS), n_subjects, effect)
    if not (2 <= n_trials <= len(CLIPS) and CLIP_SECONDS[0] <= longest <= CLIP_SECONDS[1]):
        raise AffectbenchError(
            f"expected n_trials from 2 to {len(CLIPS)} and longest from {CLIP_SECONDS[0]:g} to "
            f"{CLIP_SECONDS[1]:g} s, found {n_trials} and {longest:g}"
        )
    rng = np.random.default_rng(seed)
    stimuli = draw_stimuli(rng, n_trials)
    seconds = rng.permutation(np.linspace(CLIP_SECONDS[0], longest, n_trials)).round(1)
    with new_folder(root / "Sessions") as sessions:
        for participant in range(1, int(SUBJECTS[n_subjects - 1]) + 1):
            nature, signals = np.random.default_rng([seed, participant]).spawn(2)
            person, head = draw_person(nature), draw_head(nature, len(EEG))
            last = max(1, n_trials * RECORDED.get(participant, len(CLIPS)) // len(CLIPS))
            for clip in _clips(nature, participant, stimuli, seconds.tolist()):
                folder = sessions / str(clip.folder)
                folder.mkdir()
                has_bdf = str(participant) not in NO_PHYSIOLOGY and clip.trial <= last
                (folder / "session.xml").write_text(
                    _session(nature, clip, has_bdf), encoding="ascii", newline="\n"
                )
                if has_bdf and (neutral or clip.ratings):
                    digital = _record(signals, clip, person, head, effect)
                    write_bdf(folder / clip.bdf, CHANNELS, digital, round(SFREQ), clip.start)


def _clips(
    rng: np.random.Generator, participant: int, stimuli: Samples, seconds: Sequence[float]
) -> Iterator[Clip]:
    """Yield the clips that a participant sees: a neutral one before each of the stimuli."""
    ratings = np.clip(np.round(rate(rng, stimuli)), 1, 9).astype(int).tolist()
    now = datetime(2009, 7, 1, 9, 30) + timedelta(days=participant)
    for trial, stimulus in enumerate(rng.permutation(len(stimuli)).tolist(), start=1):
        folder = FOLDERS * (participant - 1) + 2 * trial
        between = f"{rng.choice(NEUTRAL_CLIPS)}.avi"
        short = round(float(rng.uniform(*NEUTRAL_SECONDS)), 1)
        clip = Clip(participant, trial, folder - 1, now, between, short, None)
        yield clip
        now += timedelta(seconds=clip.recorded + PAUSE)
        valence, arousal = ratings[stimulus]
        name, length = f"{CLIPS[stimulus]}.avi", seconds[stimulus]
        clip = Clip(participant, trial, folder, now, name, length, (valence, arousal))
        yield clip
        now += timedelta(seconds=clip.recorded + PAUSE)


def _session(rng: np.random.Generator, clip: Clip, has_bdf: bool) -> str:
    attributes = {
        "sessionId": clip.folder,
        "date": f"{clip.start:%Y.%m.%d}",
        "time": f"{clip.start:%H:%M:%S}",
        "experimentType": "emotion elicitation",
        "isStim": int(clip.ratings is not None),
        "cutNr": clip.folder - FOLDERS * (clip.participant - 1),
        "cutLenSec": clip.seconds,
        "vidRate": "60.9708",
        "audRate": "44100",
        "mediaFile": clip.media,
    }
    control, predictability = rng.integers(1, 10, 2).tolist()
    if clip.ratings and clip.where != UNRATED:
        valence, arousal = clip.ratings
        attributes |= {
            "feltEmo": KEYWORDS[int(valence > 5), int(arousal > 5)],
            "feltArsl": arousal,
            "feltVlnc": valence,
            "feltCtrl": control,
            "feltPred": predictability,
        }
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    track = (
        f'<track type="Physiological" filename="{clip.bdf}"><annotation type="Status"/></track>'
        if has_bdf
        else ""
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<session {text}><subject id="{clip.participant}"/>{track}</session>\n'
    )


def _record(
    rng: np.random.Generator, clip: Clip, person: Person, head: Head, effect: float
) -> Digital:
    """Make up the 47 channels of one recording, shape (47, T)."""
    seconds = float(clip.recorded)
    times = np.arange(round(seconds * SFREQ)) / SFREQ
    levels = felt(np.array(clip.ratings or (5, 5), dtype=np.float64))
    valence, arousal = levels.tolist()
    shown = effect if clip.ratings else 0.0
    rates = dict.fromkeys(("ecg", "eda", "resp", "temp"), SFREQ)
    made = body(rng, person, levels, seconds - MARGIN, rates, shown, baseline=MARGIN)
    brain = int(rng.integers(2**63))
    rest, moved = (
        eeg(np.random.default_rng(brain), head, seconds, SFREQ, valence, arousal, strength)
        for strength in (0.0, shown)
    )
    heart = 1000 * made["ecg"][0]
    values = {
        **dict(zip(EEG, np.where(times < MARGIN, rest, moved), strict=True)),
        RIGHT: -0.4 * heart,
        LEFT: 0.3 * heart,
        ABDOMEN: 0.6 * heart,
        SKIN: 1e6 / made["eda"][0],
        BELT: 100 * made["resp"][0],
        FINGER: made["temp"][0],
    }
    head_electrode = 20 * np.sin(2 * np.pi * 50 * times) + rng.normal(0, 2000)
    for label in (*EEG, RIGHT, LEFT, ABDOMEN):
        values[label] = values[label] + head_electrode + rng.normal(0, 5000)
    digital = np.stack(
        [channel.digital(values.get(channel.label, np.zeros(len(times)))) for channel in CHANNELS]
    )
    if clip.where == IDLE_START:
        digital[:, : round(IDLE_SECONDS * SFREQ)] = IDLE
    digital[-1] = OWN_BITS.get(clip.participant, 0)
    ends = (MARGIN,) if clip.where == ONE_MARK else (MARGIN, MARGIN + clip.seconds)
    for end in ends:
        digital[-1, round(end * SFREQ) :][:MARK_SAMPLES] |= MARK
    return digital
