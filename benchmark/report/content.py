"""Content of the page, from a store of results and the folder of leaderboards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.boards.board import boards_of, honest
from benchmark.boards.cohort import Cohort, LeaderboardError, build_cohorts
from benchmark.boards.computed import Computed
from benchmark.boards.distillation import gains_table
from benchmark.boards.evidence import read_evidence
from benchmark.boards.overall import FIRST, LEAST_DATASETS, overall_ranks
from benchmark.boards.paired import comparisons_table
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import critical_difference
from benchmark.boards.transfer import transfer_table
from benchmark.boards.uncertainty import uncertainties
from benchmark.boards.versions import by_version
from benchmark.report.boards import BoardPage, board_page
from benchmark.report.differences import Gains, gains_page
from benchmark.report.extras import Extra, extras
from benchmark.report.figures import Diagram, critical_diagram
from benchmark.report.overview import OVERVIEW
from benchmark.report.provenance import failures
from benchmark.report.tables import (
    Cell,
    Column,
    Table,
    number,
    text,
)
from benchmark.report.transfer import TransferPage, transfer_page
from benchmark.store import Store

LEAST_MODELS = 3
"""Number of models that a test over datasets takes, as in benchmark.boards.overall."""


@dataclass(frozen=True)
class Content:
    """The whole page.

    Args:
        summary: Counts of what was run.
        overview: A line a board, in order of ``boards``.
        boards: Boards, by name.
        ranks: Ranks over all boards.
        unranked: Models that are on some of them only, and why that is so.
        ranks_head: Lines that say how to read them.
        diagram: Critical differences; None where no test over datasets may be made, for which
            ``ranks_head`` has the reason.
        gains: Gains by distillation, a board each.
        transfer: The transfer matrix; None where no model was tested in another domain.
        extras: Other tables.
        failures: Failed runs, as from benchmark.report.provenance.
    """

    summary: tuple[tuple[str, str], ...]
    overview: Table
    boards: tuple[BoardPage, ...]
    ranks: Table
    unranked: tuple[tuple[str, str], ...]
    ranks_head: tuple[str, ...]
    diagram: Diagram | None
    gains: tuple[Gains, ...]
    transfer: TransferPage | None
    extras: tuple[Extra, ...]
    failures: list[dict[str, Any]]


def collect(store: Store, leaderboards: Path) -> Content:
    """Return all that the page shows; the same results give the same content.

    Args:
        store: Store from which boards, comparisons, ranks and gains follow.
        leaderboards: Folder with the tables that do not, as in benchmark.report.extras.

    Raises:
        LeaderboardError: There are no results, or a table that cannot be read.
    """
    scored = scored_results(store)
    if not scored:
        raise LeaderboardError(
            f"no results in {str(store.root)!r}: expected the folder of an affectbench run; "
            "name it with --runs"
        )
    planned = store.plan()
    today, older = by_version(scored, planned)
    results = [result for board in today.values() for result in board]
    cohorts = build_cohorts(today, planned, Computed(store.root))
    distilled = gains_table(honest(today))
    comparisons = comparisons_table(cohorts, distilled)
    tables = boards_of(cohorts, store, older, read_evidence(cohorts, store))
    unsure = uncertainties(cohorts, store)
    boards = tuple(
        board_page(cohort, board, comparisons, store, unsure[cohort.name])
        for cohort, board in zip(cohorts, tables, strict=True)
    )
    head, ranks = overall_ranks(cohorts)
    failed = failures(results)
    measured = {(run.dataset, run.task) for cohort in cohorts for run in [cohort.results[0].run]}
    titles = {board.name: (board.title, board.subtitle) for board in boards}
    return Content(
        summary=(
            ("boards", f"{len(boards)}"),
            ("datasets", f"{len({r.run.dataset for r in results})}"),
            ("models", f"{len({r.run.name for r in results})}"),
            ("runs done", f"{sum(r.status == 'done' for r in results):,}"),
            ("runs failed", f"{sum(len(f['runs']) for f in failed):,}"),
        ),
        overview=Table(OVERVIEW, tuple((text(board.name), *board.overview) for board in boards)),
        boards=boards,
        ranks=_ranks(ranks, titles),
        unranked=_unranked(ranks),
        ranks_head=head,
        diagram=_diagram(ranks, cohorts),
        gains=tuple(
            gains_page(str(name), titles.get(str(name), (str(name), "")), lines)
            for name, lines in distilled.groupby("board", sort=True)
        ),
        transfer=transfer_page(transfer_table(today)),
        extras=extras(leaderboards, measured),
        failures=failed,
    )


def _ranks(ranks: pd.DataFrame, titles: Mapping[str, tuple[str, str]]) -> Table:
    """Return the table of the models that are ranked."""
    boards = [str(name) for name in ranks if name not in FIRST]
    columns = (
        Column("model", "with its recipe", number=False),
        Column("average rank", "over datasets; 1 is best"),
        *(Column(titles[name][0], titles[name][1]) for name in boards),
    )
    return Table(
        columns,
        tuple(
            (
                Cell(line["model"], f"{line['model']} {line['recipe']}", line["recipe"]),
                number(line["average_rank"], ".2f"),
                *(number(line[name], "g") for name in boards),
            )
            for line in ranks[ranks["average_rank"].notna()].to_dict("records")
        ),
    )


def _unranked(ranks: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return the models that are not ranked, and why."""
    left = ranks[ranks["average_rank"].isna()].to_dict("records")
    return tuple((f"{line['model']} ({line['recipe']})", str(line["note"])) for line in left)


def _diagram(ranks: pd.DataFrame, cohorts: Sequence[Cohort]) -> Diagram | None:
    """Return the diagram; None for fewer datasets than benchmark.boards.overall asks for."""
    boards = {name for name in ranks if name not in FIRST}
    datasets = {c.results[0].run.dataset for c in cohorts if c.name in boards}
    ranked = ranks[ranks["average_rank"].notna()]
    if len(datasets) < LEAST_DATASETS or len(ranked) < LEAST_MODELS:
        return None
    names = ranked["model"].where(
        ~ranked["model"].duplicated(keep=False), ranked["model"] + " (" + ranked["recipe"] + ")"
    )
    pairs_of = list(zip(names, ranked["average_rank"], strict=True))
    return critical_diagram(pairs_of, critical_difference(len(ranked), len(datasets)))
