"""Versions of a board: the one that the latest call asked for, and those that are older.

A board has other versions where the recordings, the people who took part, the protocol or the code
of a model changed between two calls. Shown, printed and ranked is what the latest call asked for;
of a board, or a row, that it did not ask for, what was computed last.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.boards.distillation import across_folds
from benchmark.run import Run
from benchmark.scored import Scored

Basis = tuple[int, str]
"""Version of the protocol, and digest of the recordings without samples."""
Code = tuple[str, ...]
"""Digests of the code of a model, of its teachers and members; digest of the samples that they see;
and seconds of a window that is longer than a score unit, which earlier code cut down to it."""
SHOWN = 6
"""Letters of a digest in the name of a file."""


@dataclass(frozen=True)
class Older:
    """Results of an older version of a board.

    Attributes:
        name: Name of the board and what differs, as in ``older/<name>.csv``.
        board: Name of the board.
        reason: Difference from the version of today, in words.
        results: The results.
    """

    name: str
    board: str
    reason: str
    results: tuple[Scored, ...]


def by_version(
    results: Iterable[Scored], plan: Sequence[Run]
) -> tuple[dict[str, list[Scored]], list[Older]]:
    """Return the results of today by board, and those of older versions, in order of name.

    Out-of-fold teachers and runs under protocol flags are among the results of their board.

    Args:
        results: Results of a store.
        plan: Runs that the latest call asked for.
    """
    boards: dict[str, dict[Basis, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        boards[result.run.board][_basis(result.run)].append(result)
    planned: dict[str, list[Run]] = defaultdict(list)
    for run in plan:
        planned[run.board].append(run)
    today: dict[str, list[Scored]] = {}
    older: list[Older] = []
    for board, versions in sorted(boards.items()):
        basis = _basis(planned[board][-1]) if board in planned else _latest(versions)
        kept, changed = _by_code(board, versions.pop(basis, []), planned.get(board, ()))
        kept, otherwise = _by_choice(board, kept, planned.get(board, ()))
        if kept:
            today[board] = kept
        others = [
            _on_other_basis(board, results, kept[0].run if kept else planned[board][-1])
            for results in versions.values()
        ]
        older += sorted([*changed, *otherwise, *others], key=lambda version: version.name)
    return today, older


def _basis(run: Run) -> Basis:
    return run.protocol.version, _data(run)


def _data(run: Run) -> str:
    """Return the digest of the recordings, and of those that its model was trained on elsewhere."""
    return " ".join(dict.fromkeys([run.data, *(one.data for one in run.trained)]))


def _latest(versions: Mapping[Basis, Sequence[Scored]]) -> Basis:
    """Return the basis computed last; of equals, the later protocol, more subjects or results."""
    return max(
        versions,
        key=lambda basis: (
            max(result.ended for result in versions[basis]),
            basis[0],
            len(versions[basis][0].run.subjects),
            len(versions[basis]),
            basis,
        ),
    )


def _on_other_basis(board: str, results: Sequence[Scored], today: Run) -> Older:
    """Return results of another protocol or of other recordings."""
    run = results[0].run
    name, reasons = board, []
    if run.protocol.version != today.protocol.version:
        name += f"__protocol_{run.protocol.version}"
        reasons.append(f"protocol {run.protocol.version}, today {today.protocol.version}")
    if run.subjects != today.subjects:
        reasons.append(f"{_people(run)}, today {_people(today)}")
    if (data := _data(run)) != (now := _data(today)):
        differing = next((one for one in data.split() if one not in now.split()), run.data)
        name += f"__data_{differing[:SHOWN]}"
        reasons.append(f"prepared recordings {data}, today {now}")
    return Older(name, board, "; ".join(reasons), tuple(results))


def _people(run: Run) -> str:
    listed = " ".join(run.subjects[:SHOWN])
    return f"{len(run.subjects)} subjects ({listed}{' ...' * (len(run.subjects) > SHOWN)})"


def _by_code(
    board: str, results: list[Scored], planned: Sequence[Run]
) -> tuple[list[Scored], list[Older]]:
    """Return the results of today's code of each row, and those of older code, row by row."""
    if len({_code(run) for run in (*planned, *(result.run for result in results))}) <= 1:
        return results, []
    today = {_without_code(run): _code(run) for run in planned}
    rows: dict[Run, dict[Code, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        rows[_without_code(result.run)][_code(result.run)].append(result)
    kept: list[Scored] = []
    older: dict[str, list[Scored]] = defaultdict(list)
    reasons: dict[str, str] = {}
    for row, versions in rows.items():
        now = today.get(row) or max(
            versions, key=lambda code: (max(r.ended for r in versions[code]), code)
        )
        kept += versions.pop(now, [])
        for code, outdated in versions.items():
            kind = _kind(code, now)
            name = f"{board}__{kind}_of_{row.name}_{_shown(code, now)[:SHOWN]}"
            older[name] += outdated
            reasons[name] = (
                f"the {kind} of {row.name} {'has' if kind == 'code' else 'have'} changed: "
                f"{_shown(code, now)}, today {_shown(now, code)}"
            )
    return kept, [Older(n, board, reasons[n], tuple(rs)) for n, rs in older.items()]


def _by_choice(
    board: str, results: list[Scored], planned: Sequence[Run]
) -> tuple[list[Scored], list[Older]]:
    """Return results with one choice a fold and seed of each row, and the others of each row.

    A study whose inner runs were done again elsewhere may choose other values, or other members;
    today's are those that the latest call asked for, or that were computed last.
    """
    groups: dict[tuple[Run, int, int], list[Scored]] = defaultdict(list)
    for result in results:
        if result.run.chosen_by:
            groups[across_folds(result.run), result.run.fold, result.run.seed].append(result)
    ids = {run.id for run in planned}
    outdated: dict[str, list[Scored]] = defaultdict(list)
    for (row, _, _), group in groups.items():
        now = max(group, key=lambda r: (r.run.id in ids, r.ended, r.run.id))
        outdated[row.name] += [result for result in group if result is not now]
    gone = {id(result) for others in outdated.values() for result in others}
    return [result for result in results if id(result) not in gone], [
        Older(
            f"{board}__choice_of_{name}_{others[0].run.id[:SHOWN]}",
            board,
            f"what other inner runs had chosen for {name}",
            tuple(others),
        )
        for name, others in outdated.items()
        if others
    ]


def _code(run: Run) -> Code:
    window = f"{run.window:g}s" if run.window else "unit"
    runs = (run, *run.teachers, *run.members, *run.trained)
    samples = dict.fromkeys(one.samples for one in runs if one.samples)
    return *(one.code for one in runs), " ".join(samples), window


def _kind(code: Code, other: Code) -> str:
    """Return the name of what differs between two versions."""
    if code[:-2] != other[:-2]:
        return "code"
    return "samples" if code[-2] != other[-2] else "windows"


def _without_code(run: Run) -> Run:
    """Return the run that stands for all versions of code, samples and windows of a row."""
    return _bare(across_folds(run).with_others(_bare))


def _bare(run: Run) -> Run:
    return replace(run, code="", window=0.0, samples="")


def _shown(code: Code, other: Code) -> str:
    """Return the first digest, or the window, that differs from another version's."""
    differs = (a for a, b in zip(code, other, strict=True) if a != b)
    return next(differs) or "unrecorded"
