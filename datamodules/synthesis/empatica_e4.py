"""Your own sessions made up: a folder of an Empatica E4 for each subject, one table of labels.

labels.csv   subject,start,stop,condition
P01/         {ACC,BVP,EDA,HR,IBI,TEMP}.csv  tags.csv  info.txt
"""

from pathlib import Path

import numpy as np

from datamodules.errors import AffectbenchError
from datamodules.synthesis.empatica import write_session
from datamodules.synthesis.folders import check_free, check_request, new_folder, write_new
from datamodules.synthesis.physiology import Phase, session

SUBJECTS = tuple(f"P{number:02d}" for number in range(1, 100))
LABEL_FILE = "labels.csv"
COLUMNS = "subject,start,stop,condition"
AROUSAL = {"baseline": 0.0, "stress": 1.0, "amusement": 0.3}
"""Planted level of the conditions, which come in an order that differs between subjects."""
BEFORE, BETWEEN = 30, 15
"""Seconds without a label before the first condition, and after each."""
SHORTEST_MINUTES = 0.1
FIRST_START = 1700000000
"""UTC seconds of the first session; each following one is a day later."""


def write(
    root: Path,
    n_subjects: int = 15,
    seed: int = 0,
    effect: float = 1.0,
    minutes: float = 5.0,
) -> None:
    """Write made-up sessions of an Empatica E4.

    Args:
        root: Parent folder of the new folders and table; made if it does not exist.
        n_subjects: 1 to 99. A subject does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of the conditions on the signals; 0 for none.
        minutes: Length of each of the three conditions.

    Raises:
        AffectbenchError: A number of subjects, an effect or minutes out of range, or files that
            exist; nothing is written then.
    """
    if not SHORTEST_MINUTES <= minutes < float("inf"):
        raise AffectbenchError(f"expected {SHORTEST_MINUTES} minutes or more, found {minutes}")
    check_request(root, SUBJECTS, n_subjects, effect)
    check_free(root, [LABEL_FILE])
    seconds = round(60 * minutes)
    rows = [COLUMNS]
    for day, subject in enumerate(SUBJECTS[:n_subjects]):
        bodies, paper = np.random.default_rng([seed, day]).spawn(2)
        start = FIRST_START + day * 86400
        order = [str(name) for name in paper.permutation(list(AROUSAL))]
        phases = [Phase("", BEFORE, 0.0)]
        begins = []
        for number, name in enumerate(order):
            begins.append(start + BEFORE + number * (seconds + BETWEEN))
            phases += [Phase(name, seconds, AROUSAL[name]), Phase("", BETWEEN, 0.0)]
        made = session(bodies, phases, effect)
        with new_folder(root / subject) as folder:
            write_session(folder, made, start, paper, begins if day % 2 else ())
        rows += [
            f"{subject},{begin},{begin + seconds},{name}"
            for begin, name in zip(begins, order, strict=True)
        ]
    write_new(root / LABEL_FILE, "".join(f"{row}\n" for row in rows))
