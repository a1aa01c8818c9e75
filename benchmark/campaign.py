"""Campaign: a suite goes in, leaderboards come out."""

import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from os import PathLike
from pathlib import Path

from benchmark.boards.board import Board, left_behind, write_leaderboards
from benchmark.engines.engine import Engine, Terms
from benchmark.engines.event import Finished
from benchmark.engines.live import Progress
from benchmark.engines.local import LocalEngine
from benchmark.engines.placement import Placement
from benchmark.execution.places import Places
from benchmark.execution.profile import summary
from benchmark.plan.brought import forms_of
from benchmark.plan.domain import Domain
from benchmark.plan.expand import Plan, expand, left_out, signals_of
from benchmark.plan.order import Costs, estimate, ordered, shard
from benchmark.plan.pairs import check_pairs
from benchmark.plan.parse import load_suite
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Suite, SuiteError, reader_options
from benchmark.plan.transfer import domains_of, expand_transfer, suite_of
from benchmark.recordings.prepare import prepare
from benchmark.run import INNER, Run
from benchmark.starting import starting
from benchmark.store import Call, Store
from benchmark.tracking.names import LoggerName, WandbMode
from benchmark.tracking.tracker import Tracker, make_tracker
from benchmark.tuning.rounds import Rounds
from datamodules.catalogue import DATASETS
from datamodules.preparing import SubjectsRead
from datamodules.signals.preprocessing import sources
from datamodules.signals.units import Brought
from datamodules.temporary import sweep


@dataclass(frozen=True)
class Folders:
    """Folders of a campaign.

    Args:
        data: Folder with a folder for each dataset, of its name.
        cache: Folder of prepared recordings.
        runs: Folder of results.
        leaderboards: Folder of the tables.
    """

    data: str | PathLike[str] = "data"
    cache: str | PathLike[str] = "cache"
    runs: str | PathLike[str] = "runs"
    leaderboards: str | PathLike[str] = "leaderboards"


@dataclass(frozen=True)
class Options:
    """How a campaign is done; nothing of it is part of a run.

    Args:
        shard: Number of a part, from 1, and number of parts: only this part of the runs is done,
            and no leaderboards are written.
        timeout: Minutes after which a run is killed; None: never.
        max_hours: Hours from now; no run is started that would end later; None: no limit.
        retry_failed: Whether failed runs are done again.
        strict: Whether to stop if a subject cannot be read.
        dry_run: Whether to say only what would be done.
        deterministic: Whether torch may use only algorithms that give the same bits each time.
        profile: Whether to measure which parts of a run take time.
        logger: Tracker of learning curves and results besides the store.
        wandb_mode: Mode of the tracker ``"wandb"``.
    """

    shard: tuple[int, int] | None = None
    timeout: float | None = None
    max_hours: float | None = None
    retry_failed: bool = False
    strict: bool = False
    dry_run: bool = False
    deterministic: bool = False
    profile: bool = False
    logger: LoggerName = "csv"
    wandb_mode: WandbMode = "offline"


class Reporter:
    """Receives news of a campaign. This one is silent; a subclass overrides what it shows."""

    def say(self, line: str) -> None:
        """Receive a line about what is done."""

    def warn(self, line: str) -> None:
        """Receive a line about what is not as it should be."""

    def doing(self, line: str) -> None:
        """Receive what is begun now and may take long, before there is anything else to say."""

    def board(self, board: Board) -> None:
        """Receive a leaderboard that the campaign asked for."""

    def finished(self, event: Finished) -> None:
        """Receive the event of a run that has ended; the progress has it already."""

    @contextmanager
    def following(self, progress: Progress, slots: Sequence[str]) -> Iterator[Connection | None]:
        """Follow the progress while runs are done.

        Args:
            progress: State of the campaign, which changes meanwhile.
            slots: Device of each worker.

        Yields:
            Pipe for the output of workers; None: they write to stdout and stderr.
        """
        yield None


@dataclass(frozen=True)
class Outcome:
    """Outcome of a campaign.

    Args:
        runs: Runs that were asked for, in the order of the plan.
        statuses: ``"done"``, ``"failed"``, ``"damaged"`` or None by id of each run, now.
        not_applicable: Reason by ``board/model`` that has no run.
        left_out: Reason by subject that cannot be read, by dataset.
        boards: Leaderboards of the runs; empty for a shard and a dry run.
        studies: Number of studies, and of ensembles, that have not chosen yet, whose tuned runs and
            means are not among the runs.
    """

    runs: tuple[Run, ...]
    statuses: Mapping[str, str | None]
    not_applicable: Mapping[str, str]
    left_out: Mapping[str, Mapping[str, str]]
    boards: tuple[Board, ...] = ()
    studies: int = 0

    @property
    def failed(self) -> tuple[Run, ...]:
        """Runs that failed."""
        return tuple(run for run in self.runs if self.statuses[run.id] == "failed")

    @property
    def damaged(self) -> tuple[Run, ...]:
        """Runs whose results are set aside; they are not done again while these are there."""
        return tuple(run for run in self.runs if self.statuses[run.id] == "damaged")

    @property
    def complete(self) -> bool:
        """Whether every run is done, with all subjects."""
        done = all(status == "done" for status in self.statuses.values())
        return done and not self.studies and not any(self.left_out.values())


def run_suite(
    suite: Suite | str | PathLike[str],
    folders: Folders | None = None,
    engine: Engine | None = None,
    options: Options | None = None,
    reporter: Reporter | None = None,
    called: float | None = None,
) -> Outcome:
    """Do the runs of a suite that are not done yet, and write the leaderboards.

    Example:
        >>> outcome = run_suite("quick", Folders(runs="/tmp/runs", leaderboards="/tmp/boards"))
        >>> outcome.complete
        True
        >>> outcome.boards[0].table[["model", "macro_f1"]]

    Args:
        suite: A suite, the name of one of the project's, or the path of a ``.yaml`` file.
        folders: Folders of recordings, cache, results and tables; None: those of ``Folders()``.
        engine: Engine that does the runs, entered already; None: this machine, all devices.
        options: How the runs are done; None: as ``Options()``.
        reporter: Receiver of news; None: nothing is said.
        called: Time of the call, as ``time.time`` has it, for the record of its overhead; None:
            now.

    Raises:
        AffectbenchError: A suite, recordings or an engine that do not fit; results so far are kept.
    """
    called = time.time() if called is None else called
    folders, options, reporter = folders or Folders(), options or Options(), reporter or Reporter()
    if engine is None:
        with LocalEngine(Placement()) as local:
            return run_suite(suite, folders, local, options, reporter, called)
    if not isinstance(suite, Suite):
        suite = load_suite(str(suite))
    check_pairs(suite)  # before recordings are read, which may take long
    places = Places(
        Path(folders.data),
        Path(folders.cache),
        Path(folders.runs),
        logger=options.logger,
        deterministic=options.deterministic,
        profile=options.profile,
        encoders=suite.encoders,
    )
    store = Store(places.runs)
    tracker = make_tracker(options.logger, options.wandb_mode, suite.name, store, reporter.warn)
    with tracker:
        before = time.perf_counter()
        with nullcontext() if options.dry_run else starting(places.runs, called):
            prepared, plan = planned(suite, places, reporter, options.strict)
            preparing = time.perf_counter() - before
        if not plan.runs:
            raise SuiteError(
                f"suite {suite.name}: expected runs to do, found that nothing of it applies: "
                + "; ".join(dict.fromkeys(plan.not_applicable.values()))
            )
        reporter.doing(f"looking for finished runs in {places.runs}")
        asked = list(plan.runs)
        if options.shard:
            asked = shard(asked, *options.shard, [study.trainings for study in plan.studies])
        ordinary = set(asked)
        studies = [study for study in plan.studies if ordinary.issuperset(study.trainings)]
        rounds = Rounds(studies, store, options.retry_failed)
        inner = rounds.advance()
        asked += rounds.chosen
        statuses = {run.id: store.status(run) for run in asked}
        again = (None, "failed") if options.retry_failed else (None,)
        todo = [run for run in asked if statuses[run.id] in again]
        past = (*store.results(), *store.inner_results()) if todo or inner else ()
        done = [result for result in past if result.status == "done"]
        _say_plan(plan, asked, todo, reporter)
        _say_studies(rounds, len(studies), reporter)
        for name, count in changed_code(todo, (result.run for result in done)).items():
            reporter.say(
                f"code of {name} changed since {count} finished runs: they are kept, and done again"
            )
        outcome = Outcome(
            tuple(asked),
            statuses,
            plan.not_applicable,
            {name: dataset.left_out for name, dataset in prepared.items()},
            studies=len(rounds.open),
        )
        if options.dry_run:
            _say_todo(todo, store, len(engine.slots), reporter)
            return outcome
        sweep([Path(tempfile.gettempdir())])
        sweep([places.runs, places.runs / INNER, places.cache, Path(folders.leaderboards)], depth=2)
        store.save_plan([*plan.runs, *rounds.chosen], rounds.open)
        store.note_cells(plan.notes, plan.not_applicable)
        for run in asked:
            if statuses[run.id] not in (*again, "damaged"):
                tracker.add(run)
        if todo or inner:
            costs = Costs(done)
            _say_hours(todo, costs, len(engine.slots), reporter)
            means = _Means(places, engine, options, tracker, reporter)
            outcome, worked = _do_rounds(outcome, plan, (todo, inner), rounds, costs, means, called)
            if options.profile:
                reporter.say(summary(store, worked, preparing))
        else:
            reporter.say("nothing to compute: every run of this suite is finished")
        if options.shard:
            reporter.say("when every part is done, affectbench leaderboard writes the leaderboards")
        else:
            boards = _write_boards(plan, store, Path(folders.leaderboards), reporter)
            tracker.add_boards(Path(folders.leaderboards))
            outcome = replace(outcome, boards=boards)
        asked = [*outcome.runs, *rounds.damaged]
        statuses = {run.id: store.status(run) for run in asked}
        outcome = replace(outcome, runs=tuple(asked), statuses=statuses)
        _say_outcome(outcome, store, reporter)
        return outcome


def planned(
    suite: Suite, places: Places, reporter: Reporter, strict: bool = False
) -> tuple[dict[str, Prepared], Plan]:
    """Read the recordings of a suite, and return them by name of dataset or domain, and its runs.

    Raises:
        SuiteError: A subject cannot be read, and ``strict`` is set, or nothing of it can be run.
        AffectbenchError: Not one subject of a dataset can be read.
    """
    if not suite.transfer:
        prepared = prepare_suite(suite, places, reporter, strict)
        return prepared, expand(suite, prepared)
    listed = domains_of(suite, places.data)
    seen = {
        name
        for domain in listed
        for name in sources(
            signals_of(suite_of(suite, domain), domain.dataset),
            DATASETS[domain.dataset].preprocessing,
        )
    }
    read: dict[tuple[Domain, Brought], Prepared] = {}

    def recordings(domain: Domain, brought: Brought = ()) -> Prepared:
        part = replace(domain, task="", test_only=False)
        if (part, brought) not in read:
            words = suite_of(suite, part), places, reporter, strict, seen, brought
            read[part, brought] = prepare_suite(*words)[part.dataset]
        return read[part, brought]

    forms = forms_of(suite, {domain: recordings(domain) for domain in listed})
    domains = {domain: recordings(domain, forms[domain]) for domain in listed}
    plan = expand_transfer(suite, domains)
    return {domain.name: recordings for domain, recordings in domains.items()}, plan


def prepare_suite(
    suite: Suite,
    places: Places,
    reporter: Reporter,
    strict: bool = False,
    besides: Collection[str] = (),
    brought: Brought = (),
) -> dict[str, Prepared]:
    """Read the recordings of a suite's datasets into the cache, with the signals that runs see.

    Args:
        suite: Suite.
        places: Folders.
        reporter: Receiver of progress and warnings.
        strict: Whether a subject who cannot be read ends it.
        besides: Signals that models of other datasets see, which are read where a dataset has them.
        brought: Measured signals that are brought to another rate or unit.

    Raises:
        SuiteError: A subject cannot be read, and ``strict`` is set.
        AffectbenchError: Not one subject of a dataset can be read.
    """
    prepared = {}
    for name in suite.dataset_names(places.data):
        reporter.doing(f"checking the recordings of {name}")
        options = dict(reader_options(DATASETS[name], suite.options.get(name, {})))
        told = partial(_say_progress, reporter, name)
        words = name, places.root(name), places.cache, options, suite.subjects
        available = DATASETS[name].available(dict(options))
        signals = tuple(s for s in available if s in {*signals_of(suite, name), *besides})
        dataset = prepare(*words, signals, told, brought)
        while more := set(signals_of(suite, name, dataset)) - set(signals):
            signals = (*signals, *sorted(more))  # in place of those that somebody lacks
            dataset = prepare(*words, signals, told, brought)
        for line in left_out(dataset.left_out):
            reporter.warn(f"{name}: {line}")
        if strict and dataset.left_out:
            raise SuiteError(
                f"{name}: {len(dataset.left_out)} subject(s) cannot be read, and --strict was "
                "given; nothing was run"
            )
        prepared[name] = dataset
    return prepared


def _say_progress(reporter: Reporter, dataset: str, progress: SubjectsRead) -> None:
    reporter.doing(f"{dataset}: {progress}")


def changed_code(planned: Iterable[Run], finished: Iterable[Run]) -> dict[str, int]:
    """Return the number of finished runs, by name, that differ from planned ones only in code."""
    planned = list(planned)
    names = {run.name for run in planned}
    ids = {_without_code(run).id: run.id for run in planned}
    counts: Counter[str] = Counter()
    for run in finished:
        if run.name in names:
            planned_id = ids.get(_without_code(run).id)
            counts[run.name] += planned_id is not None and planned_id != run.id
    return dict(+counts)


def _without_code(run: Run) -> Run:
    return replace(run.with_others(_without_code), code="", alone="")


@dataclass(frozen=True)
class _Means:
    """What a campaign does its runs with."""

    places: Places
    engine: Engine
    options: Options
    tracker: Tracker
    reporter: Reporter


def _do_rounds(
    outcome: Outcome,
    plan: Plan,
    first: tuple[Sequence[Run], Sequence[Run]],
    rounds: Rounds,
    costs: Costs,
    means: _Means,
    called: float,
) -> tuple[Outcome, list[Run]]:
    """Have runs done until all studies have chosen, and what they chose is done too.

    Args:
        outcome: Outcome so far.
        plan: The plan, which is kept with what studies have chosen.
        first: Runs and inner runs that are to be done first.
        rounds: Studies.
        costs: Durations of past runs.
        means: What runs are done with.
        called: Time of the call.

    Returns:
        The outcome, with the runs that were chosen, and all runs that were to be done.
    """
    store, options, reporter = Store(means.places.runs), means.options, means.reporter
    end = options.max_hours and time.monotonic() + options.max_hours * 3600
    (todo, inner), worked = first, [*first[0], *first[1]]
    while todo or inner:
        left = _do(outcome, [*todo, *inner], inner, costs, end, means, called)
        if left:
            reporter.warn(
                f"{len(left)} run(s) left, as {options.max_hours:g} hours are over or too short "
                "for them; the same call goes on with them"
            )
            break
        called, inner = time.time(), rounds.advance()
        chosen = [run for run in rounds.chosen if run.id not in outcome.statuses]
        statuses = {run.id: store.status(run) for run in chosen}
        outcome = replace(
            outcome,
            runs=(*outcome.runs, *chosen),
            statuses={**outcome.statuses, **statuses},
            studies=len(rounds.open),
        )
        todo = [run for run in chosen if statuses[run.id] is None]
        for run in chosen:
            if statuses[run.id] == "done":
                means.tracker.add(run)
        worked += [*todo, *inner]
        store.save_plan([*plan.runs, *rounds.chosen], rounds.open)
        if inner:
            reporter.say(
                f"inner folds: {len(rounds.open)} studies have not chosen yet; {len(inner)} inner "
                "runs are next"
            )
    return outcome, worked


def _do(
    outcome: Outcome,
    todo: Sequence[Run],
    inner: Sequence[Run],
    costs: Costs,
    end: float | None,
    means: _Means,
    called: float,
) -> list[Run]:
    """Have runs done by the engine, while the progress is reported and results are tracked.

    Returns:
        Runs that were not started.
    """
    store, reporter = Store(means.places.runs), means.reporter
    todo = ordered(todo, costs)
    slots = means.engine.slots
    runs = [*outcome.runs, *inner]
    progress = Progress(runs, todo, outcome.statuses, costs, len(slots))

    def finished(event: Finished) -> None:
        progress.finished(event)
        reporter.finished(event)
        if not event.run.inner:
            means.tracker.add(event.run, anew=True)

    timeout = means.options.timeout
    with reporter.following(progress, slots) as output:
        terms = Terms(
            timeout=timeout and timeout * 60,
            end=end,
            costs=costs,
            workers=progress.staffed,
            watch=progress.watch,
            output=output,
        )
        left = means.engine.run_all(todo, means.places, finished, terms)
    now = time.time()
    begun, most = progress.begun or now, progress.most_workers
    store.save_call(Call(called, begun, now, most, progress.count, progress.busy))
    return left


def _write_boards(plan: Plan, store: Store, folder: Path, reporter: Reporter) -> tuple[Board, ...]:
    """Write all leaderboards of a store, and return those of a plan."""
    boards = write_leaderboards(store, folder)
    names = {run.board for run in plan.runs}
    asked = tuple(board for board in boards if board.name in names)
    for board in asked:
        reporter.board(board)
    for path in left_behind(store, folder, boards):
        reporter.say(f"{path} is of runs that are gone; affectbench leaderboard removes it")
    reporter.say(
        f"{len(boards)} board(s), overall.csv, comparisons.csv, classes.csv, uncertainty.csv, "
        f"published.csv and runs.csv are in {folder}"
    )
    return asked


def _say_plan(plan: Plan, asked: Sequence[Run], todo: Sequence[Run], reporter: Reporter) -> None:
    for cell, reason in plan.not_applicable.items():
        reporter.say(f"not applicable: {cell}: {reason}")
    reporter.say(
        f"{len(asked)} runs on {len({run.board for run in asked})} board(s), "
        f"{len(asked) - len(todo)} of them finished before, {len(todo)} to do"
    )


def _say_studies(rounds: Rounds, count: int, reporter: Reporter) -> None:
    """Say how many studies go on, and how many inner runs these may take."""
    if count:
        reporter.say(
            f"inner folds: {count - len(rounds.open)} of {count} studies have chosen; the others "
            f"have at most {rounds.at_most} inner runs, and a run each with what they choose, "
            "those that are finished among them"
        )


def _say_todo(todo: Sequence[Run], store: Store, workers: int, reporter: Reporter) -> None:
    """Say which runs would be done, and what they may cost."""
    counts = Counter(run.board for run in todo)
    for board, count in counts.items():
        reporter.say(f"{board}: {count} to do")
        for run in todo:
            if run.board == board:
                reporter.say(f"  {run.id}  {run.name} fold {run.fold} seed {run.seed}")
    cost = estimate(todo, store, workers)
    measured = len(todo) - sum(cost.unknown.values())
    if measured:
        reporter.say(
            f"estimate for {measured} run(s): {cost.hours:.2f} hours on {workers} worker(s), "
            f"{cost.size / 2**20:.1f} MiB"
        )
    for name, count in cost.unknown.items():
        reporter.say(f"estimate for {count} run(s) of {name}: unknown, as none is finished")


def _say_hours(todo: Sequence[Run], costs: Costs, workers: int, reporter: Reporter) -> None:
    """Say what runs will take, as far as runs of their kind are finished."""
    seconds = [costs.seconds(run) for run in todo]
    measured = [time_of_run for time_of_run in seconds if time_of_run is not None]
    if measured:
        hours = sum(measured) / 3600 / workers
        reporter.say(
            f"estimate for {len(measured)} run(s): {hours:.2f} hours on {workers} worker(s)"
        )
    if len(measured) < len(todo):
        count = len(todo) - len(measured)
        reporter.say(f"no estimate yet for {count} run(s): none of their kind is finished")


def _say_outcome(outcome: Outcome, store: Store, reporter: Reporter) -> None:
    """Say what failed, and who was left out."""
    for run in outcome.failed:
        reporter.warn(f"failed: {run.label}: see {store.folder(run)}")
    if outcome.failed:
        reporter.warn(f"{len(outcome.failed)} run(s) failed; --retry-failed does them again")
    for run in outcome.damaged:
        reporter.warn(f"damaged: {run.label}: delete {store.folder(run)} to have it done again")
    if outcome.studies:
        reporter.warn(
            f"{outcome.studies} studies have not chosen, so that their runs are not planned; "
            "the same call goes on with them"
        )
    if n_left_out := sum(map(len, outcome.left_out.values())):
        reporter.warn(
            f"{n_left_out} subject(s) were left out; --subject names those that are wanted"
        )
