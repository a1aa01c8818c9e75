"""Stimuli to groups, each of which holds every class and every session as evenly as may be."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

Kind = tuple[int, str]
"""Class and session of a stimulus."""


def kinds_of(
    trials: Mapping[str, Sequence[tuple[str, str]]], classes: Mapping[str, int]
) -> dict[str, Kind]:
    """Return the kind of each stimulus, in natural order of name; its session is the usual one.

    Args:
        trials: Session and stimulus of every trial, by subject.
        classes: Class of each stimulus; 0 for any other.
    """
    sessions: dict[str, Counter[str]] = defaultdict(Counter)
    for pairs in trials.values():
        for session, stimulus in pairs:
            sessions[stimulus][session] += 1
    return {
        stimulus: (
            classes.get(stimulus, 0),
            min(sessions[stimulus], key=lambda s: (-sessions[stimulus][s], natural(s))),
        )
        for stimulus in sorted(sessions, key=natural)
    }


def stimulus_groups(kinds: Mapping[str, Kind], count: int) -> list[list[str]]:
    """Return the stimuli in groups, dealt out at random within each class and session.

    Of any class, of any class in any session and in all, no group has two more than another.

    Args:
        kinds: Class and session of each stimulus.
        count: Number of groups.
    """
    rng = np.random.default_rng(0)
    names = list(kinds)
    shuffled = [names[row] for row in rng.permutation(len(names))]
    dealt = sorted(shuffled, key=lambda name: (kinds[name][0], natural(kinds[name][1])))
    return [dealt[group::count] for group in range(count)]


def held_out(kinds: Mapping[str, Kind], share: float, rng: np.random.Generator) -> set[str]:
    """Return a share of the stimuli of each class, at least one of a class that has two.

    Args:
        kinds: Class and session of at least two stimuli.
        share: Share of each class.
        rng: Source of chance.
    """
    of_class: dict[int, list[str]] = defaultdict(list)
    names = list(kinds)
    for row in rng.permutation(len(names)):
        of_class[kinds[names[row]][0]].append(names[row])
    chosen: set[str] = set()
    for same in of_class.values():
        chosen.update(same[: min(len(same) - 1, max(1, round(share * len(same))))])
    return chosen or {next(iter(of_class.values()))[0]}


def natural(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Return a key that sorts numbers inside names as numbers; 2 and 02 do not tie."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts], name
