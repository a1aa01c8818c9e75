"""``affectbench run``: do the runs of a suite that are not done yet."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.adapters.catalogue import ADAPTERS
from benchmark.cli.arguments import (
    add_encoders,
    add_folders,
    count,
    encoder_weights,
    not_negative,
    positive,
    shard,
    whole,
)
from benchmark.cli.command import DONE, FAILED, Command
from benchmark.cli.report import write_report
from benchmark.engines.catalogue import ENGINES, make_engine
from benchmark.engines.placement import AUTO, Placement
from benchmark.engines.server import importing, start_server
from benchmark.tracking.names import LOGGERS, WANDB_MODES
from lightning_modules.recipe import RECIPES

SYNTHETIC = "synthetic"
"""Dataset that is made up as it is read, with an effect of any size."""

if TYPE_CHECKING:
    from benchmark.plan.suite import Suite


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", help="name of a suite, or path of a .yaml file")
    add_folders(parser, "data", "cache", "runs", "leaderboards")
    choice = parser.add_argument_group("part of the suite")
    for name in ("dataset", "task", "split", "model", "subject"):
        choice.add_argument(f"--{name}", nargs="+", metavar=name[0].upper(), help="only these")
    choice.add_argument(
        "--calibration",
        nargs="+",
        metavar="C",
        help="what models are given of each person beforehand, a board each: none, baseline:M "
        "(M minutes of rest), unlabelled, whole",
    )
    choice.add_argument("--signals", nargs="+", metavar="S", help="what models may choose from")
    choice.add_argument("--seeds", nargs="+", type=int, metavar="N", help="these seeds")
    choice.add_argument("--recipe", choices=RECIPES, help="recipe of every model")
    choice.add_argument(
        "--budget",
        type=whole,
        metavar="N",
        help="tune every model and probe too, among N candidates in each fold",
    )
    choice.add_argument(
        "--ensemble",
        nargs="*",
        metavar="M",
        help="add the mean of models that inner folds choose, among these or all of the call",
    )
    choice.add_argument(
        "--adapter",
        nargs="+",
        metavar="A",
        help="add the curve over labelled minutes of each tested person, by these adapters: "
        + ", ".join(ADAPTERS),
    )
    choice.add_argument(
        "--labelled-minutes",
        nargs="+",
        type=not_negative,
        metavar="M",
        help="numbers of these minutes; default: those of the suite",
    )
    choice.add_argument("--max-epochs", type=count, metavar="N", help="epochs of every model")
    choice.add_argument("--folds", type=int, metavar="K", help="folds of a k-fold")
    choice.add_argument(
        "--stimulus-folds",
        type=int,
        metavar="K",
        help="groups of stimuli that subject_stimulus_k_fold crosses with folds of people",
    )
    choice.add_argument(
        "--corruption",
        nargs="+",
        metavar="C",
        help="test each trained model on disturbed recordings too: these, or all",
    )
    add_encoders(choice)
    choice.add_argument("--effect", type=not_negative, help="effect planted in synthetic data")
    _add_engine(parser.add_argument_group("engine"))
    _add_limits(parser.add_argument_group("limits"))
    how = parser.add_argument_group("how")
    how.add_argument(
        "--logger",
        choices=LOGGERS,
        default=LOGGERS[0],
        help="where learning curves and results are tracked besides runs; default: csv",
    )
    how.add_argument(
        "--wandb-mode",
        choices=WANDB_MODES,
        default=WANDB_MODES[0],
        help="mode of --logger wandb; online sends to the server of WANDB_BASE_URL; "
        "default: offline",
    )
    how.add_argument(
        "--deterministic",
        action="store_true",
        help="use only algorithms that give the same bits each time, on a GPU too",
    )
    how.add_argument("--profile", action="store_true", help="say where the time of runs goes")
    how.add_argument("--strict", action="store_true", help="stop at the first bad subject")
    how.add_argument("--retry-failed", action="store_true", help="do failed runs again")
    how.add_argument("--dry-run", action="store_true", help="say what would be done")
    how.add_argument(
        "--download",
        action="store_true",
        help="first fetch what is missing of the suite's open datasets, into --data",
    )
    how.add_argument(
        "--report",
        type=Path,
        nargs="?",
        const=Path("report.html"),
        metavar="FILE",
        help="in the end write the report; default of FILE: report.html",
    )


def _add_engine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--engine",
        choices=list(ENGINES),
        default=next(iter(ENGINES)),
        help=f"who does the runs; default: {next(iter(ENGINES))}, workers of this machine",
    )
    group.add_argument(
        "--devices",
        default=AUTO,
        help="cpu, or GPU numbers as in 0,1; auto: all GPUs, or the CPU if there are none",
    )
    group.add_argument(
        "--jobs-per-device",
        type=lambda text: AUTO if text == AUTO else int(text),
        metavar="N",
        help="workers on each device; auto: as many as its memory has room for; default: 1 a GPU, "
        "1 a core on the CPU",
    )
    group.add_argument(
        "--devices-per-run",
        type=int,
        default=1,
        metavar="N",
        help="train each network on N devices at once; default: 1",
    )
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="head of the Ray cluster; default: a Ray of this machine alone, for this call",
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--timeout",
        type=positive,
        metavar="MINUTES",
        help="kill a run that takes longer; default: none is",
    )
    group.add_argument(
        "--max-hours",
        type=positive,
        metavar="H",
        help="start no run that would end later than that from now",
    )
    group.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="only the I-th of N parts of the runs; write no leaderboards",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the runs of a suite that are not done yet, and write the leaderboards."""
    if arguments.engine == "local":
        start_server()  # its imports go on while this process does its own
    with importing():  # torch, and pandas for the leaderboards
        from benchmark.campaign import Folders, Options, run_suite
        from benchmark.cli.console import ConsoleReporter

    suite = _suite(arguments)
    if arguments.download:
        datasets = _recordings(suite, arguments)
        if not datasets:
            return DONE
        suite = replace(suite, datasets=datasets)
    placement = Placement(
        devices=arguments.devices,
        jobs=arguments.jobs_per_device,
        per_run=arguments.devices_per_run,
        address=arguments.ray_address,
    )
    options = Options(
        shard=arguments.shard,
        timeout=arguments.timeout,
        max_hours=arguments.max_hours,
        retry_failed=arguments.retry_failed,
        strict=arguments.strict,
        dry_run=arguments.dry_run,
        deterministic=arguments.deterministic,
        profile=arguments.profile,
        logger=arguments.logger,
        wandb_mode=arguments.wandb_mode,
    )
    folders = Folders(arguments.data, arguments.cache, arguments.runs, arguments.leaderboards)
    with make_engine(arguments.engine, placement) as engine:
        outcome = run_suite(suite, folders, engine, options, ConsoleReporter(), arguments.called)
    if arguments.report and not arguments.dry_run:
        write_report(arguments.runs, arguments.leaderboards, arguments.report)
    return DONE if arguments.dry_run or outcome.complete else FAILED


def _recordings(suite: "Suite", arguments: argparse.Namespace) -> tuple[str, ...]:
    """Fetch the datasets of a suite that are missing, and return those that are there.

    A dry run says what would be fetched, and fetches nothing.
    """
    from rich.console import Console  # imported with the campaign

    from benchmark.execution.places import Places
    from benchmark.recordings.download import download, missing, would_fetch

    places = Places(arguments.data, arguments.cache, arguments.runs)
    names = suite.dataset_names(arguments.data)
    lacking = missing({name: places.root(name) for name in names})
    for name, root in lacking.items():
        if arguments.dry_run:
            print(would_fetch(name, root))
        else:
            print(f"{name} is in {root}, {download(name, root, Console(stderr=True))}")
    return tuple(name for name in names if not (arguments.dry_run and name in lacking))


def _suite(arguments: argparse.Namespace) -> "Suite":
    """Return the suite, or the part of it, that was asked for."""
    from benchmark.plan.narrow import narrowed  # imported with the campaign
    from benchmark.plan.parse import load_suite
    from benchmark.plan.suite import ALL, SuiteError

    suite = load_suite(arguments.suite).with_encoders(encoder_weights(arguments.encoder))
    suite = narrowed(
        suite,
        datasets=arguments.dataset,
        tasks=arguments.task,
        splits=arguments.split,
        calibrations=arguments.calibration,
        models=arguments.model,
        seeds=arguments.seeds,
        signals=arguments.signals,
        subjects=arguments.subject,
    )
    if arguments.folds is not None:
        suite = suite.with_protocol(folds=arguments.folds)
    if arguments.stimulus_folds is not None:
        suite = suite.with_protocol(stimulus_folds=arguments.stimulus_folds)
    if arguments.recipe is not None:
        suite = replace(suite, recipe=arguments.recipe)
    if arguments.budget is not None:
        suite = replace(suite, budget=arguments.budget)
    if arguments.ensemble is not None:
        suite = replace(suite, ensemble=tuple(arguments.ensemble) or (ALL,))
    if arguments.corruption is not None:
        suite = replace(suite, corruptions=tuple(arguments.corruption))
    if arguments.adapter is not None:
        suite = replace(suite, adapters=tuple(arguments.adapter))
    if arguments.labelled_minutes is not None:
        suite = replace(suite, labelled_minutes=tuple(arguments.labelled_minutes))
    if arguments.max_epochs is not None:
        suite = suite.with_max_epochs(arguments.max_epochs)
    if arguments.effect is not None:
        parts = [part.get("datasets", suite.datasets) for part in suite.parts]
        if not any(SYNTHETIC in datasets for datasets in parts or [suite.datasets]):
            raise SuiteError(
                f"--effect is planted in the dataset {SYNTHETIC} alone, found "
                f"{', '.join(suite.datasets)}. Leave it out, or ask for --dataset {SYNTHETIC}"
            )
        suite = suite.with_option(SYNTHETIC, "effect", arguments.effect)
    return suite


COMMAND = Command(
    "do the runs of a suite that are not done yet",
    _arguments,
    run,
    (
        "affectbench run quick",
        "affectbench run full --dataset wesad --task stress --model lda cnn --recipe fast",
        "affectbench run open --download --recipe fast --report",
        "affectbench run open --recipe fast --budget 20",
        "affectbench run open --recipe fast --ensemble",
        "affectbench run open --recipe fast --corruption eda_detached motion_strong",
    ),
    starting="starting workers, importing torch, reading the suite",
)
