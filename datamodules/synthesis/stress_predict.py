"""Stress-Predict made up: the published repository's folders and files, with a planted effect.

    Raw_data/S02/   {ACC,BVP,EDA,HR,IBI,TEMP}.csv  tags_S02.csv  info.txt
    Processed_data/Improved_All_Combined_hr_rsp_binary.csv   labels of all subjects, a row a second

The volunteer without label rows and the questionnaires are not written. A session of full length
takes about 3 MB.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.errors import AffectbenchError
from datamodules.synthesis.empatica import heart_rates, write_session
from datamodules.synthesis.folders import check_free, check_request, new_folder, write_new
from datamodules.synthesis.physiology import Phase, Session, session

NUMBERS = tuple(range(2, 36))
"""Numbers of the volunteers that have label rows."""
PHASES = (
    ("rest", 635, 0.0, 0),
    ("stroop", 355, 1.0, 1),
    ("rest", 310, 0.0, 0),
    ("interview", 600, 1.0, 1),
    ("rest", 300, 0.0, 0),
    ("hyperventilation", 125, 1.0, 1),
    ("rest", 955, 0.0, 0),
)
"""Name, seconds (medians of the published labels), planted arousal, label."""
SHORTEST_PHASE = 10
LABEL_DELAY = 9
"""Seconds from the start of the recording to the first label row."""
LABELLED_BEYOND = 2
"""Number of label rows after the last heart rate, which they leave empty."""
LABEL_FILE = Path("Processed_data") / "Improved_All_Combined_hr_rsp_binary.csv"
COLUMNS = "Participant,HR,respr,Time(sec),Label"
FIRST_START = 1644227574
"""UTC seconds of the first session; each following one is a day later."""


def write(
    root: Path,
    n_subjects: int = len(NUMBERS),
    seed: int = 0,
    effect: float = 1.0,
    scale: float = 1.0,
) -> None:
    """Write the first subjects of a made-up Stress-Predict.

    Args:
        root: Parent folder of ``Raw_data`` and ``Processed_data``; made if it does not exist.
        n_subjects: 1 to 34. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of the stressors on the signals; 0 for none.
        scale: Share of its real length that a phase lasts; none is shorter than ten seconds.

    Raises:
        AffectbenchError: A number of subjects, an effect or a scale out of range, or files that
            exist; nothing is written then.
    """
    names = [f"S{number:02d}" for number in NUMBERS]
    if not 0 < scale < float("inf"):
        raise AffectbenchError(f"expected a scale above 0, found {scale}")
    check_request(root / "Raw_data", names, n_subjects, effect)
    check_free(root, [str(LABEL_FILE)])
    rows = [COLUMNS]
    for day, number in enumerate(NUMBERS[:n_subjects]):
        bodies, paper = np.random.default_rng([seed, number]).spawn(2)
        seconds = [
            max(SHORTEST_PHASE, round(scale * paper.uniform(0.9, 1.1) * real))
            for _, real, _, _ in PHASES
        ]
        start = FIRST_START + day * 86400
        made = session(bodies, _phases(seconds), effect)
        subject = f"S{number:02d}"
        with new_folder(root / "Raw_data" / subject) as folder:
            borders = start + LABEL_DELAY + np.cumsum(seconds)[:-1]
            tags = borders.tolist() if number % 3 else ()
            write_session(folder, made, start, paper, tags, f"tags_{subject}.csv", hot_start=False)
        rows += _label_rows(number, made, start + LABEL_DELAY, seconds)
    (root / LABEL_FILE).parent.mkdir(exist_ok=True)
    write_new(root / LABEL_FILE, "".join(f"{row}\r\n" for row in rows))


def _phases(seconds: Sequence[int]) -> list[Phase]:
    """Return the phases with labels, after one for the seconds before the first label row."""
    labelled = [
        Phase(name, length, arousal)
        for (name, _, arousal, _), length in zip(PHASES, seconds, strict=True)
    ]
    return [Phase("", LABEL_DELAY, 0.0), *labelled]


def _label_rows(number: int, made: Session, first: int, seconds: Sequence[int]) -> list[str]:
    """Return a row a second: the watch's latest heart rate, breaths a minute, the label."""
    labels = np.repeat([label for _, _, _, label in PHASES], seconds).tolist()
    rates = heart_rates(made.beats, LABEL_DELAY + len(labels) - LABELLED_BEYOND)
    shown = [f"{round(rate, 2):g}" for rate in (rates[0], *rates)]
    shown += [""] * (len(labels) - len(shown))
    breaths = 60 * made.person.breathing
    return [
        f"{number},{rate},{breaths:.7f},{first + row},{label}"
        for row, (rate, label) in enumerate(zip(shown, labels, strict=True))
    ]
