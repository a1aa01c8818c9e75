"""Remarks: what a board says against itself, in the words of its head, terminal and report."""

from typing import NamedTuple

from benchmark.boards.cohort import Cohort, Row
from benchmark.boards.decisions import decide, is_better, p_of_pair
from benchmark.probes.catalogue import PROBES


class Unbeaten(NamedTuple):
    """A probe that should lose and does not.

    Attributes:
        probe: Its row.
        best: The best ranked row.
        p: p-value of their difference; None where the probe scores at least as high.
    """

    probe: Row
    best: Row
    p: float | None


def unbeaten(cohort: Cohort) -> list[Unbeaten]:
    """Return each probe that should lose and does not, the best first.

    Such a probe is compared with the best ranked row alone, without correction, as a doubt should
    not be corrected away. The best row is the best by these very scores, which favours it a little.
    Incomplete rows are not compared.
    """
    rows = decide(cohort).rows
    if not rows:
        return []
    best = max(rows, key=cohort.score)
    probes = []
    for probe in (row for row in cohort.complete if row.blind):
        if cohort.score(probe) >= cohort.score(best):
            probes.append(Unbeaten(probe, best, None))
        elif not is_better(p := p_of_pair(cohort, best, probe)):
            probes.append(Unbeaten(probe, best, p))
    return probes


def remarks(cohort: Cohort) -> list[str]:
    """Return a line on each probe that should lose and does not."""
    lines = []
    for probe, best, p in unbeaten(cohort):
        name, theirs, ours = probe.run.name, cohort.score(probe), cohort.score(best)
        verdict = "NO ROW IS BETTER" if p is None else "NOT TOLD APART"
        lines.append(
            f"{verdict}: {name} ({PROBES[name].about}) reaches {theirs:.3f}, the best ranked row, "
            f"{best.run.name}, {ours:.3f}" + ("" if p is None else f" (p {p:.2g}, alone)")
        )
    return lines
