"""What is said of damaged files, by what they are. Run by hand, in minutes:

    python -m tests.benchmarks.faults [CONTAINER ...]

Every case damages one file, or asks for one impossible thing, in a copy of a place that is whole,
and calls the command line in this process. Its answer is counted:

message    one or more lines on stderr and another exit status than 0
traceback  an error that is a fault of this project
said       exit status 0 with a line on stderr: the damage was mended, as of what is derived
silent     exit status 0 and nothing on stderr: the case says why nothing need be said

The exit status is 1 if there is a traceback, or a silent case that does not say why. A container is
added as a function of CONTAINERS that yields its cases.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmark.cli.main import main
from datamodules.synthesis import empatica_e4, wesad

Spoil = Callable[[Path], object]
SUITE: dict[str, Any] = {
    "datasets": ["synthetic"],
    "models": ["majority", "lda", "cnn"],
    "options": {"synthetic": {"n_subjects": 4, "phase": 60.0}},
    "recipes": {"cnn": {"max_epochs": 1, "stride": 30.0}},
}
E4 = ("run", "full", "--task", "stress", "--model", "lda", "--seeds", "0", "--jobs-per-device", "1")
HARMLESS = "the file is not read for what the command says"
DERIVED = "it is derived, and made anew"
EQUAL = "the value is the default, so that the run is the same"


@dataclass(frozen=True)
class Case:
    """One damaged file, or one impossible call.

    Args:
        name: Damage, in a few words.
        spoil: Function that does it to a place.
        words: Command line, called in the place.
        silent: Reason why nothing need be said of it; empty: something must be said.
    """

    name: str
    spoil: Spoil
    words: Sequence[str]
    silent: str = ""


def make_place(folder: Path) -> None:
    """Write a place in which everything is whole: suite, recordings, runs and boards."""
    (folder / "small.yaml").write_text(yaml.safe_dump(SUITE))
    empatica_e4.write(folder / "data" / "empatica_e4", 4, minutes=1.1)
    wesad.write(folder / "wesad", 2, minutes=0.1)
    assert answer(folder, ("run", "small.yaml", "--jobs-per-device", "1"))[0] == "silent"


def answer(place: Path, words: Sequence[str]) -> tuple[str, str]:
    """Return the kind of answer that a command line gets, and the last line of it."""
    said, before = io.StringIO(), Path.cwd()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    os.chdir(place)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = main(list(words))
    except SystemExit as end:
        status = 2 if end.code else 0
    except Exception as error:
        return "traceback", repr(error)
    finally:
        os.chdir(before)
        logging.getLogger().removeHandler(handler)
    lines = said.getvalue().strip().splitlines()
    if status == 0 and not lines:
        return "silent", ""
    kind = "unsaid" if not lines else "message" if status else "said"
    return kind, (lines or [f"exit status {status}"])[-1]


def at(pattern: str, change: Callable[[Path], object]) -> Spoil:
    """Return a function that damages the first file of a place that a pattern names."""
    return lambda place: change(sorted(place.glob(pattern))[0])


def text(content: str) -> Callable[[Path], object]:
    """Return a function that replaces the text of a file."""
    return lambda path: path.write_text(content)


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def folder_in_its_place(path: Path) -> None:
    """Put a folder where a file was, or a file where a folder was."""
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("")
    else:
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)


def loop(path: Path) -> None:
    """Put a link to itself where a file or a folder was."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(path.name)


BYTES: Mapping[str, Callable[[Path], object]] = {
    "empty": text(""),
    "cut in half": cut,
    "a bit flipped": flip,
    "a folder": folder_in_its_place,
    "a link to itself": loop,
    "latin-1": lambda path: path.write_bytes("é".encode("latin-1") * 9),
}
"""Damages that any file may take."""
TEXTS: Mapping[str, Callable[[Path], object]] = {
    "{": text("{"),
    "[]": text("[]"),
    "null": text("null"),
    "deeply nested": text("[" * 100_000),
    "a number of 6000 digits": text("9" * 6000),
}
"""Damages of a file of JSON or YAML."""
VALUES: tuple[Any, ...] = (None, [], {}, "text", "../../../esc", float("nan"), -1, 1e300, [1])
"""Values that a key does not have."""


def changed(key: Sequence[str], change: Callable[[dict[str, Any], str], object]) -> Any:
    """Return a function that changes one key of a file of JSON."""

    def apply(path: Path) -> None:
        values = json.loads(path.read_text())
        inner = values
        for name in key[:-1]:
            inner = inner[name]
        change(inner, key[-1])
        path.write_text(json.dumps(values))

    return apply


def removed(key: Sequence[str]) -> Any:
    """Return a function that removes one key of a file of JSON."""
    return changed(key, lambda inner, name: inner.pop(name))


def replaced(key: Sequence[str], value: object) -> Any:
    """Return a function that gives one key of a file of JSON another value."""
    return changed(key, lambda inner, name: inner.update({name: value}))


def of_result() -> Iterator[Case]:
    """Yield damages of a result, as boards meet it."""
    file, words = "runs/*/lda/1-*/result.json", ("leaderboard",)
    for name, change in {**BYTES, **TEXTS}.items():
        yield Case(name, at(file, change), words)
    for key in ("run", "status", "files", "seconds", "versions", "epochs", "classes", "ended"):
        yield Case(f"{key} removed", at(file, removed((key,))), words)
    for key in ("dataset", "task", "model", "fold", "seed", "subjects", "data", "protocol"):
        yield Case(f"run.{key} removed", at(file, removed(("run", key))), words)
        for value in VALUES:
            damage = at(file, replaced(("run", key), value))
            same = EQUAL if key == "protocol" and value == {} else ""
            yield Case(f"run.{key} is {value}", damage, words, same)
    for name, key, value in (
        ("status dome", ("status",), "dome"),
        ("a split that is not known", ("run", "protocol", "split"), "by_mood"),
        ("a flag that is not known", ("run", "protocol", "flags"), ["read_minds"]),
        ("a later schema", ("schema",), 99),
        ("no digests", ("files",), {}),
        ("another digest", ("files", "predictions.npz"), "0" * 64),
    ):
        yield Case(name, at(file, replaced(key, value)), words)
    for name, key, value in (
        ("other seconds", ("seconds", "train"), 1e300),
        ("another commit", ("commit",), "=cmd|'/C calc'!A0"),
    ):
        why = "a value that only this file holds cannot be checked"
        yield Case(name, at(file, replaced(key, value)), words, why)


def of_run() -> Iterator[Case]:
    """Yield damages of what was asked, as verify meets it."""
    file, words = "runs/*/majority/1-*/run.json", ("verify", "{majority}")
    for name, change in {**BYTES, **TEXTS}.items():
        yield Case(name, at(file, change), words)
    yield Case("gone", at(file, Path.unlink), words)
    for key in ("dataset", "task", "model", "fold", "seed", "subjects", "data", "protocol"):
        yield Case(f"{key} removed", at(file, removed((key,))), words)
        for value in VALUES:
            same = EQUAL if key == "protocol" and value == {} else ""
            yield Case(f"{key} is {value}", at(file, replaced((key,), value)), words, same)


def of_predictions() -> Iterator[Case]:
    """Yield damages of predictions, as boards and verify meet them."""
    file = "runs/*/majority/1-*/predictions.npz"
    for words in (("leaderboard",), ("verify", "{majority}"), ("report",)):
        for name, change in BYTES.items():
            yield Case(f"{name}: {words[0]}", at(file, change), words)
        yield Case(f"gone: {words[0]}", at(file, Path.unlink), words)


def of_other_files() -> Iterator[Case]:
    """Yield damages of the other files of a store."""
    for name, change in {**BYTES, **TEXTS}.items():
        yield Case(f"plan.json {name}", at("runs/plan.json", change), ("status",))
        why = "the time of another call" if name == "a bit flipped" else ""
        yield Case(f"calls {name}", at("runs/calls/*.json", change), ("status", "--timing"), why)
        why = "a board without notes has none" if name == "[]" else ""
        yield Case(f"notes.json {name}", at("runs/*/notes.json", change), ("leaderboard",), why)
        for file in ("scores.json", "statistics.json"):
            yield Case(f"{file} {name}", at(f"runs/{file}", change), ("leaderboard",), DERIVED)
        log = at("runs/*/cnn/1-*/log.txt", change)
        yield Case(f"log.txt {name}", log, ("leaderboard",), HARMLESS)


def of_checkpoint() -> Iterator[Case]:
    """Yield damages of a checkpoint, as predict meets it."""
    file = "runs/*/cnn/1-*/model.ckpt"
    words = ("predict", "{cnn}/model.ckpt", "data/empatica_e4/P01")
    for name, change in BYTES.items():
        yield Case(name, at(file, change), words)
    yield Case("gone", at(file, Path.unlink), words)


def of_suite() -> Iterator[Case]:
    """Yield suites that say nothing, or what cannot be."""
    words = ("run", "small.yaml", "--dry-run")
    for name, change in {**BYTES, **TEXTS}.items():
        yield Case(name, at("small.yaml", change), words)
    for key, value in (
        ("recipes", {"cnn": {"window": 1e9}}),
        ("recipes", {"cnn": {"stride": 1e-9}}),
        ("seeds", [10**30]),
        ("splits", ["trial_k_fold"]),
        ("models", ["../../esc"]),
        ("datasets", ["../../esc"]),
    ):
        suite = yaml.safe_dump({**SUITE, key: value})
        yield Case(f"{key} {value}", at("small.yaml", text(suite)), words)
    twice = yaml.safe_dump(SUITE) + "models: [lda]\n"
    yield Case("a key twice", at("small.yaml", text(twice)), words)
    yield Case("a tag", at("small.yaml", text("models: !!python/name:os.system x")), words)


def of_folders() -> Iterator[Case]:
    """Yield folders that are files, links to themselves, or not there."""
    run = ("run", "small.yaml", "--jobs-per-device", "1", "--retry-failed")
    for name, change in {"a file": folder_in_its_place, "a link to itself": loop}.items():
        for folder in ("runs", "leaderboards", "cache"):
            yield Case(f"{folder} is {name}", at(folder, change), run)
        for command in ("status", "leaderboard", "report"):
            yield Case(f"runs is {name}: {command}", at("runs", change), (command,))
        made = ("data", "synthesize", "empatica_e4", "--root", "here")
        yield Case(f"--root is {name}", lambda place, c=change: c(_made(place / "here")), made)
        out = ("report", "--out", "here")
        why = "the page takes the place of the link" if name != "a file" else ""
        yield Case(f"--out is {name}", lambda place, c=change: c(place / "here"), out, why)
    above = ("report", "--out", "small.yaml/report.html")
    yield Case("--out below a file", lambda place: None, above)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def of_labels() -> Iterator[Case]:
    """Yield damages of labels and of a file of a wristband."""
    labels = "data/empatica_e4/labels.csv"
    for name, change in BYTES.items():
        if name != "a bit flipped":
            yield Case(f"labels.csv {name}", at(labels, change), E4)
            yield Case(f"EDA.csv {name}", at("data/empatica_e4/P01/EDA.csv", change), E4)
    yield Case("labels.csv of no rows", at(labels, text("subject,start,stop,condition\n")), E4)
    check = ("data", "check", "empatica_e4", "--root", "data/empatica_e4")
    yield Case("labels.csv of no rows", at(labels, text("subject,start,stop,condition\n")), check)
    for subject in ("../../esc/P01", "/tmp/esc", ".", "=cmd|'/C calc'!A0", "<script>", "x" * 300):
        other = lambda path, s=subject: path.write_text(path.read_text().replace("P01", s))  # noqa: E731
        yield Case(f"a person {subject[:20]}", at(labels, other), E4)


def of_pickles() -> Iterator[Case]:
    """Yield damages of a pickle."""
    words = ("data", "check", "wesad", "--root", "wesad", "--subject", "S2")
    for name, change in BYTES.items():
        if name != "a bit flipped":
            yield Case(name, at("wesad/S2/S2.pkl", change), words)


def of_cache() -> Iterator[Case]:
    """Yield damages of the cache of prepared recordings."""
    run = ("run", "small.yaml", "--seeds", "7", "--model", "lda", "--jobs-per-device", "1")
    for name, change in {**BYTES, **TEXTS}.items():
        yield Case(f"meta.json {name}", at("cache/synthetic/*/meta.json", change), run, DERIVED)
    for name, change in BYTES.items():
        yield Case(f"samples {name}", at("cache/synthetic/*.eda/samples.npy", change), run, DERIVED)

    def overwrite(path: Path) -> None:
        samples = np.load(path)
        samples[: len(samples) // 6 + 1] = 7e4
        np.save(path, samples)

    yield Case(
        "samples overwritten", at("cache/synthetic/*.eda/samples.npy", overwrite), run, DERIVED
    )


def of_calls() -> Iterator[Case]:
    """Yield calls that mean nothing."""
    for words in (
        ("run", "full", "--dataset", "empatica_e4", "--effect", "1", "--dry-run"),
        (*E4, "--split", "trial_k_fold", "--dry-run"),
        ("run", "small.yaml", "--devices", "cpu", "--devices-per-run", "99", "--dry-run"),
        ("selftest", "--jobs", "0"),
        ("selftest", "--jobs", "-3"),
        ("data", "synthesize", "wesad", "--root", "new", "--seed", "-1"),
        ("data", "check", "deap", "--root", "x", "--option", "n_videos={"),
        ("data", "check", "deap", "--root", "x", "--option", "n_videos=!!python/name:os.system x"),
        ("status", "--runs", "nowhere"),
        ("logs", "ffffffffffff"),
        ("compare", "lda", "ldb"),
    ):
        yield Case(" ".join(words), lambda place: None, words)


CONTAINERS: Mapping[str, Callable[[], Iterator[Case]]] = {
    "result.json": of_result,
    "run.json": of_run,
    "predictions.npz": of_predictions,
    "store": of_other_files,
    "checkpoint": of_checkpoint,
    "suite": of_suite,
    "folders": of_folders,
    "labels": of_labels,
    "pickles": of_pickles,
    "cache": of_cache,
    "calls": of_calls,
}


def try_case(case: Case, whole: Path) -> tuple[str, str]:
    """Return the kind of answer to a case, in a copy of a whole place, and the line of it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "place"
        shutil.copytree(whole, place, symlinks=True)
        names = {m: str(sorted(place.glob(f"runs/*/{m}/1-*"))[0]) for m in ("majority", "cnn")}
        case.spoil(place)
        words = list(case.words)
        for model, folder in names.items():
            words = [word.replace(f"{{{model}}}", folder) for word in words]
        return answer(place, words)


def run(names: Sequence[str]) -> int:
    """Try the cases of some containers, print a table, and return the exit status."""
    wrong = 0
    print(
        "| container | cases | message | traceback | said | silent | seconds |\n"
        "|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        make_place(Path(folder))
        for name in names:
            started, counts, lines = time.perf_counter(), Counter[str](), []
            for case in CONTAINERS[name]():
                kind, line = try_case(case, Path(folder))
                counts[kind] += 1
                harmless = kind == "message" or (kind in ("said", "silent") and case.silent)
                if not harmless:
                    lines.append(f"  {name}: {case.name}: {kind} {line}")
            kinds = ("message", "traceback", "said", "silent")
            shown = " | ".join(str(counts[kind]) for kind in kinds)
            seconds = time.perf_counter() - started
            print(f"| {name} | {counts.total()} | {shown} | {seconds:.0f} |")
            print("\n".join(lines), end="\n" if lines else "", flush=True)
            wrong += len(lines)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:] or list(CONTAINERS)))
