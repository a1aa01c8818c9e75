"""Remarks: what a board says against itself, in the words of its head, terminal and report."""

from benchmark.boards.cohort import Cohort, Row
from benchmark.boards.decisions import decide, is_better, p_of_pair
from benchmark.probes.catalogue import PROBES


def remarks(cohort: Cohort) -> list[str]:
    """Return a line on each probe that should lose and does not.

    Such a probe is compared with the best ranked row alone, without correction, as a doubt should
    not be corrected away. The best row is the best by these very scores, which favours it a little.
    Incomplete rows are in no remark.
    """
    rows = decide(cohort).rows
    if not rows:
        return []
    best = max(rows, key=cohort.score)
    lines = []
    for probe in cohort.complete:
        if probe.blind:
            lines += _remark(cohort, probe, best)
    return lines


def _remark(cohort: Cohort, probe: Row, best: Row) -> list[str]:
    name, theirs, ours = probe.run.name, cohort.score(probe), cohort.score(best)
    seen = f"{name} ({PROBES[name].about}) reaches {theirs:.3f}"
    if theirs >= ours:
        return [f"NO ROW IS BETTER: {seen}, the best ranked row, {best.run.name}, {ours:.3f}"]
    p = p_of_pair(cohort, best, probe)
    if is_better(p):
        return []
    return [
        f"NOT TOLD APART: {seen}, the best ranked row, {best.run.name}, {ours:.3f} "
        f"(p {p:.2g}, alone)"
    ]
