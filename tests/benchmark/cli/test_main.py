"""The command line in this process: what it says, what it returns, what it leaves alone."""

import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from benchmark.boards.board import MEASURED
from benchmark.cli.main import main
from benchmark.plan.parse import suite_names
from benchmark.probes.catalogue import PROBES
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Call, Store
from datamodules.catalogue import DATASETS
from datamodules.protocol import Protocol
from datamodules.splits import SPLITS
from datamodules.synthesis import empatica_e4, wesad
from lightning_modules.catalogue import DISTILLERS, MODELS

BOARD = "synthetic_phase_60__stress__leave_one_subject_out"
SUBJECTS = ("P01", "P02", "P03", "P04")
WITHOUT_TORCH = (
    ["--help"],
    ["run", "--help"],
    ["status", "--runs", "{store}"],
    ["status", "--timing", "--runs", "{store}"],
    ["logs", "{run}", "--runs", "{store}"],
)
"""Commands that must not wait for torch to be imported."""


class Harmful:
    """What a tampered pickle would do to an ordinary unpickler."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture(scope="session")
def made_e4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions of an E4 of four people; one score unit a condition. Not to be written to."""
    folder = tmp_path_factory.mktemp("e4") / "empatica_e4"
    empatica_e4.write(folder, len(SUBJECTS), minutes=1.1)
    return folder


@pytest.fixture(scope="session")
def made_wesad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects of a WESAD that is too short to learn from. Not to be written to."""
    folder = tmp_path_factory.mktemp("wesad") / "WESAD"
    wesad.write(folder, 2, minutes=0.1)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, so that nothing lands elsewhere by default."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def data(place: Path, made_e4: Path) -> Path:
    """A data folder with a copy of the E4 sessions in it."""
    shutil.copytree(made_e4, place / "data" / "empatica_e4")
    return place / "data"


def listing(folder: Path) -> dict[str, bytes]:
    """Every file, and its bytes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def assert_refused(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: list[str]
) -> None:
    """Exit status 2, one clear message on stderr, and no file more or less than before."""
    before = listing(place)
    capsys.readouterr()
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.strip(), "nothing on stderr"
    assert "Traceback" not in told.err
    assert len(told.err.strip().splitlines()) == 1, told.err
    for part in expected:
        assert part in told.err
    after = listing(place)
    made = sorted(set(after) - set(before))
    assert [name for name in made if not name.startswith("cache/")] == []
    assert [name for name in made if "/." in name] == []
    assert {name: after.get(name) for name in before} == before


# --- list, help


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("datasets", DATASETS),
        ("models", [*MODELS, *PROBES]),
        ("distillers", DISTILLERS),
        ("splits", SPLITS),
        ("calibrations", ("none", "baseline:M", "unlabelled", "whole", "labelled:M")),
        ("adapters", ("head", "last_layer", "prior_shift")),
        ("suites", suite_names()),
    ],
)
def test_list_names_all(capsys, what, names):
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names)
    if what != "splits":
        assert all(len(line.split()) > 3 for line in lines)


def test_list_datasets_says_what_is_in_them(capsys):
    main(["list", "datasets"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name, module in DATASETS.items():
        for word in (*module.tasks, *module.signals):
            assert word in lines[name]


@pytest.mark.parametrize("words", [[], ["dance"], ["list"], ["list", "colours"], ["run"], ["data"]])
def test_wrong_call(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: affectbench" in capsys.readouterr().err


@pytest.mark.parametrize("words", WITHOUT_TORCH)
def test_help_and_status_need_no_torch(words, finished, tmp_path):
    results = list(finished.results())
    Store(tmp_path).save_plan([result.run for result in results])
    Store(tmp_path).save(results[0])
    words = [word.format(store=tmp_path, run=results[0].run.id) for word in words]
    script = (
        "import sys\nfrom benchmark.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'lightning', 'sklearn', 'pandas', 'wandb'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


# --- run


def test_run_narrowed(place, write_suite, capsys):
    suite = str(write_suite())
    assert main(["run", suite, "--model", "majority", "lda", "--jobs-per-device", "1"]) == 0
    told = capsys.readouterr()
    assert "8 runs on 1 board(s), 0 of them finished before, 8 to do" in told.out
    assert told.err == ""
    table = pd.read_csv(place / "leaderboards" / f"{BOARD}.csv", comment="#")
    assert table["model"].tolist() == ["lda", "majority"]
    assert table["n_runs"].tolist() == [4, 4]
    assert {p.name for p in place.iterdir()} == {"cache", "leaderboards", "runs"}

    assert main(["status"]) == 0
    assert capsys.readouterr().out == f"{BOARD}: 8 done, 0 failed, 0 open\n"

    shown = (place / "leaderboards" / f"{BOARD}.csv").read_bytes()
    shutil.rmtree(place / "leaderboards")
    assert main(["leaderboard"]) == 0
    assert "2 board(s)" not in capsys.readouterr().out
    assert (place / "leaderboards" / f"{BOARD}.csv").read_bytes() == shown

    assert main(["run", suite, "--model", "majority", "--seeds", "0", "1", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert "8 runs on 1 board(s), 4 of them finished before, 4 to do" in told.out
    assert told.out.count("seed 1") == 4
    assert "seed 0" not in told.out
    assert len(list((place / "runs").rglob("result.json"))) == 8

    assert main(["run", suite, "--seeds", "1", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert f"{BOARD}: 12 to do" in told.out
    assert "estimate for 8 run(s): 0.00 hours on " in told.out
    assert "estimate for 4 run(s) of cnn on synthetic: unknown" in told.out

    assert main(["run", suite, "--model", "majority", "--seeds", "1", "--max-hours", "1e-9"]) == 1
    told = capsys.readouterr()
    assert "4 run(s) left" in told.err
    assert len(list((place / "runs").rglob("result.json"))) == 8


def test_shards_give_the_boards_of_one_call(place, write_suite, capsys):
    suite = str(write_suite(models=["majority", "lda"], seeds=[0, 1]))
    assert main(["run", suite, "--jobs-per-device", "1", "--leaderboards", "whole"]) == 0
    counts = []
    for part in ("1/3", "2/3", "3/3"):
        words = ["run", suite, "--jobs-per-device", "1", "--runs", "parts", "--shard", part]
        assert main(words) == 0
        assert not (place / "leaderboards").exists()
        counts.append(len(list((place / "parts").rglob("result.json"))))
    assert counts[0] < counts[1] < counts[2] == 16
    assert main(["leaderboard", "--runs", "parts"]) == 0
    names = {path.name for path in (place / "whole").iterdir()}
    assert names == {path.name for path in (place / "leaderboards").iterdir()}
    for name in names & {f"{BOARD}.csv", "runs.csv"}:
        tables = [
            pd.read_csv(place / folder / name, comment="#").drop(
                columns=list(MEASURED), errors="ignore"
            )
            for folder in ("whole", "leaderboards")
        ]
        pd.testing.assert_frame_equal(*tables)
    capsys.readouterr()
    assert main(["status", "--runs", "parts"]) == 0
    assert capsys.readouterr().out == f"{BOARD}: 16 done, 0 failed, 0 open\n"

    assert main(["status", "--runs", "parts", "--timing"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if "overhead" in line]
    assert len(told) == 4
    assert "16 runs in 3 call(s)" in told[-1]


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_no_such_shard(capsys, part):
    with pytest.raises(SystemExit) as caught:
        main(["run", "quick", "--shard", part])
    assert caught.value.code == 2
    assert "expected I/N" in capsys.readouterr().err


# --- status, logs


def test_timing_is_what_the_calls_took(place, capsys):
    store = Store(place / "runs")
    store.save_plan([Run("synthetic", "stress", Protocol(), 0, 0, "lda", (), ("S1",), "d" * 16)])
    store.save_call(Call(1000.0, 1010.0, 1110.0, workers=2, runs=30, busy=190.0))
    store.save_call(Call(2000.0, 2010.0, 2060.0, workers=4, runs=7, busy=180.0))
    assert main(["status", "--timing"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert "30 runs on 2 worker(s) in 100.0 s" in lines[0]
    assert "overhead 5.0 %, with the start 13.6 %" in lines[0]  # 10 of 200, 30 of 220
    assert "overhead 10.0 %" in lines[1]
    assert "37 runs in 2 call(s)" in lines[2]
    assert "overhead 7.5 %" in lines[2]  # 30 of 400


def test_conflicts_are_told(place, finished, capsys):
    store = Store(place / "runs")
    (first, *_) = finished.results()
    columns = finished.predictions(first.run)
    store.save(first, columns)
    store.save_plan([first.run])
    store.save(first, {**columns, "label": 1 - columns["label"]})
    assert main(["status"]) == 0
    assert str(store.conflicts()[0].relative_to(place)) in capsys.readouterr().err


def test_logs(place, finished, capsys):
    store = Store(place / "runs")
    (done, other, *_) = finished.results()
    (place / "log.txt").write_text("a line of its log\n")
    failed = Result(done.run, "failed", error="ValueError: no", traceback="Traceback: here")
    store.save(failed, None, {"log.txt": place / "log.txt"})
    store.save(other)
    for name in (done.run.id, done.run.id[:6], str(store.folder(done.run))):
        assert main(["logs", name]) == 0
        told = capsys.readouterr().out
        for part in (done.run.label, "a line of its log", "ValueError: no", "Traceback: here"):
            assert part in told
    assert main(["logs", other.run.id]) == 0
    assert "no log" in capsys.readouterr().out
    assert_refused(place, capsys, ["logs", "xyz"], ["no run 'xyz'", "--runs"])
    assert_refused(place, capsys, ["logs", ""], ["2 runs", done.run.id, other.run.id])


def test_dry_run_writes_no_results(place, write_suite, capsys):
    assert main(["run", str(write_suite()), "--dry-run"]) == 0
    assert "12 to do" in capsys.readouterr().out
    assert not (place / "runs").exists()
    assert not (place / "leaderboards").exists()


def test_no_effect_is_not_found(place, capsys):
    # attention_lrcn takes longest; length needs padded trials
    plain = [name for name, probe in PROBES.items() if not probe.encoder]  # it needs weights
    models = [m for m in (*MODELS, *plain) if m not in ("attention_lrcn", "length")]
    assert main(["run", "quick", "--effect", "0", "--max-epochs", "3", "--model", *models]) == 0
    (path,) = (place / "leaderboards").glob("synthetic*.csv")
    assert "effect_0" in path.name
    table = pd.read_csv(path, comment="#").set_index("model")
    assert set(table.index) == set(models)
    assert table["balanced_low"].isna().all()  # of four people a board shows no interval
    runs = pd.read_csv(place / "leaderboards" / "runs.csv")
    missed = []
    for model, values in runs.groupby("model")["balanced_accuracy"]:
        if values.nunique() > 1:
            low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
            missed += [model] if not low <= 0.5 <= high else []
        else:
            assert values.iloc[0] == 0.5, model
    # each misses once in twenty times; more of them do together once in a thousand
    assert len(missed) <= stats.binom.ppf(0.999, len(models), 0.05), missed


def test_failed_runs_give_status_one_and_are_retried_when_asked(place, write_suite, capsys):
    suite = str(write_suite(models=["majority", "cnn"], recipes={"cnn": {"lr": 1e30}}))
    assert main(["run", suite]) == 1
    told = capsys.readouterr()
    assert "4 run(s) failed; --retry-failed" in told.err
    assert told.err.count("failed: ") == 4
    assert "INCOMPLETE, 4 failed run(s): cnn lacks 4 of 4" in told.out
    assert main(["status"]) == 1
    assert capsys.readouterr().out == f"{BOARD}: 4 done, 4 failed, 0 open\n"
    before = {p: p.stat().st_mtime_ns for p in (place / "runs").rglob("result.json")}
    assert main(["run", suite]) == 1
    assert "8 of them finished before, 0 to do" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert main(["run", suite, "--retry-failed"]) == 1
    assert "4 of them finished before, 4 to do" in capsys.readouterr().out
    after = {p: p.stat().st_mtime_ns for p in before}
    assert {p.parts[-3] for p in before if after[p] != before[p]} == {"cnn"}


# --- recordings


def test_check_of_good_recordings(place, data, capsys):
    assert main(["data", "check", "empatica_e4", "--root", str(data / "empatica_e4")]) == 0
    told = capsys.readouterr()
    assert "4 of 4 subjects can be used" in told.out
    for subject in SUBJECTS:
        assert subject in told.out
    assert told.err == ""


def without_signals(folder: Path) -> None:
    for name in ("ACC", "BVP", "EDA", "TEMP"):
        (folder / f"{name}.csv").unlink()


def test_check_of_a_bad_subject(place, data, capsys):
    without_signals(data / "empatica_e4" / "P02")
    assert main(["data", "check", "empatica_e4", "--root", str(data / "empatica_e4")]) == 1
    told = capsys.readouterr()
    assert "3 of 4 subjects can be used" in told.out
    assert "left out: P02" in told.err
    assert "EDA.csv" in told.err


def test_who_lacks_a_signal_keeps_it_from_the_models(place, data, capsys):
    root = data / "empatica_e4"
    (root / "P02" / "BVP.csv").unlink()
    (root / "P03" / "ACC.csv").unlink()
    assert main(["data", "check", "empatica_e4", "--root", str(root)]) == 0
    told = capsys.readouterr()
    assert re.search(r"P02 .* no bvp\n", told.out)
    assert re.search(r"P03 .* no acc\n", told.out)
    assert "no model sees bvp, which P02 lacks" in told.out
    words = ["run", "full", "--task", "stress", "--seeds", "0", "--model"]
    assert main([*words, "lda", "motion", "attention_lrcn", "--dry-run"]) == 0
    assert main([*words, "lda", "motion"]) == 0
    (board,) = (place / "leaderboards").glob("empatica*.csv")
    text = board.read_text()
    assert "no model sees bvp, which P02 lacks" in text
    assert "no model sees acc, which P03 lacks" in text
    table = pd.read_csv(board, comment="#").set_index("model")
    assert table.loc["lda", "signals"] == "eda+temp"
    assert table.loc["lda", "n_subjects"] == 4
    assert "there is only eda, temp" in text


@pytest.mark.parametrize("words", [["data", "check", "empatica_e4"], ["run", "full"]])
def test_labels_without_rows_are_one_sentence(place, data, capsys, words):
    (data / "empatica_e4" / "labels.csv").write_text("subject,start,stop,condition\n")
    where = ["--root", "data/empatica_e4"] if words[0] == "data" else ["--model", "lda"]
    assert_refused(place, capsys, [*words, *where], ["labels.csv: expected a row", "found no row"])


def test_conditions_by_other_names(place, data, capsys):
    labels = data / "empatica_e4" / "labels.csv"
    labels.write_text(labels.read_text().replace("baseline", "rest"))
    check = ["data", "check", "empatica_e4", "--root", str(labels.parent)]
    assert_refused(place, capsys, check, ["found rest", "option conditions", "rest=baseline"])
    assert main([*check, "--option", "conditions=rest=baseline,amusement=unused"]) == 0
    assert "affect: 8 score units; baseline 50%, stress 50%" in capsys.readouterr().out


def test_a_person_under_two_names(place, data, capsys):
    root = data / "empatica_e4"
    for path in (root / "P01").iterdir():
        (root / "P02" / path.name).write_bytes(path.read_bytes())
    rows = (root / "labels.csv").read_text().splitlines()
    kept = [row for row in rows if not row.startswith("P02,")]
    copies = ["P02," + row.removeprefix("P01,") for row in rows if row.startswith("P01,")]
    (root / "labels.csv").write_text("\n".join([*kept, *copies]) + "\n")
    assert main(["data", "check", "empatica_e4", "--root", str(root)]) == 1
    told = capsys.readouterr()
    assert re.search(r"P01 .* shares \w+ with P02", told.out)
    assert re.search(r"P01 and P02 share .* of \w+", told.err)
    words = ["run", "full", "--task", "stress", "--model", "lda", "--seeds", "0"]
    assert main([*words, "--dataset", "empatica_e4"]) == 2
    assert re.search(
        r"leak: P01 and P02 share .* Leave one of each pair out", capsys.readouterr().err
    )
    alone = [*words, "--dataset", "empatica_e4", "--subject", "P01", "P03", "P04"]
    assert main(alone) == 0


@pytest.mark.parametrize("dataset", ["wesad", "empatica_e4", "stress_predict"])
def test_synthesize_then_check(place, capsys, dataset, monkeypatch):
    if dataset == "wesad":
        monkeypatch.setattr(wesad.write, "__defaults__", (15, 0, 1.0, 0.1))
    words = ["data", "synthesize", dataset, "--root", "made", "--subjects", "1"]
    assert main(words) == 0
    assert "made-up" in capsys.readouterr().out
    main(["data", "check", dataset, "--root", "made"])
    assert "1 of " in capsys.readouterr().out
    assert_refused(place, capsys, words, ["made"])


def test_bad_subject_is_left_out_with_a_note(place, data, capsys):
    path = data / "empatica_e4" / "P02" / "BVP.csv"
    path.write_bytes(path.read_bytes()[:2000])
    words = ["run", "full", "--task", "stress", "--model", "lda", "majority", "--seeds", "0"]
    assert_refused_files = listing(place)
    assert main([*words, "--strict"]) == 2
    told = capsys.readouterr()
    assert "--strict" in told.err
    assert "P02" in told.err
    made = set(listing(place)) - set(assert_refused_files)
    assert [name for name in made if not name.startswith("cache/")] == []

    assert main(words) == 1
    told = capsys.readouterr()
    assert "left out: P02" in told.err
    assert "1 subject(s) were left out" in told.err
    (board,) = (place / "leaderboards").glob("empatica*.csv")
    text = board.read_text()
    assert "left out: P02" in text
    assert str(place) not in text
    table = pd.read_csv(board, comment="#")
    assert table["n_subjects"].tolist() == [3, 3]
    runs = pd.read_csv(place / "leaderboards" / "runs.csv")
    assert set(runs["subject"]) == {"P01", "P03", "P04"}

    assert main([*words, "--subject", "P01", "P03", "P04"]) == 0
    assert "nothing to compute" in capsys.readouterr().out


RUN = ["run", "full", "--task", "stress", "--model", "lda", "--seeds", "0"]
BROKEN_E4: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "no folder": (shutil.rmtree, RUN, ["no dataset in", "empatica_e4", "--data"]),
    "no labels": (lambda root: (root / "labels.csv").unlink(), RUN, ["no labels.csv", "columns"]),
    "labels without a column": (
        lambda root: (root / "labels.csv").write_text("subject,start,stop\nP01,1,2\n"),
        RUN,
        ["labels.csv", "condition"],
    ),
    "labels cut off": (
        lambda root: (root / "labels.csv").write_bytes(
            (root / "labels.csv").read_bytes().rstrip()[:-4]
        ),
        RUN,
        ["labels.csv", "conditions among"],
    ),
    "no signal of anyone": (
        lambda root: [path.unlink() for path in root.glob("*/[ABET]*.csv")],
        RUN,
        ["none of the 4 subjects", "EDA.csv", "Export the session again"],
    ),
    "too few subjects left": (
        lambda root: [without_signals(root / name) for name in SUBJECTS[:2]],
        [*RUN, "--strict"],
        [],
    ),
    "unknown subject": (lambda root: None, [*RUN, "--subject", "P77"], ["P77", "P01, P02"]),
    "fewer subjects than folds": (
        lambda root: None,
        [*RUN, "--split", "subject_k_fold", "--folds", "9"],
        ["at least 9 subjects", "found 4", "fewer"],
    ),
    "unknown signal": (lambda root: None, [*RUN, "--signals", "edo"], ["edo", "eda"]),
    "unknown model": (
        lambda root: None,
        ["run", "full", "--model", "ldb"],
        ["ldb", "did you mean lda?"],
    ),
    "unknown dataset": (
        lambda root: None,
        ["run", "full", "--dataset", "wasad"],
        ["wasad", "did you mean wesad?"],
    ),
    "unknown task": (lambda root: None, ["run", "full", "--task", "stres"], ["stres", "stress?"]),
    "unknown split": (
        lambda root: None,
        ["run", "full", "--split", "leave_one_out"],
        ["leave_one_out", "did you mean leave_one_subject_out?"],
    ),
    "unknown suite": (lambda root: None, ["run", "quik"], ["no suite 'quik'", "quick"]),
    "no such file": (lambda root: None, ["run", "no.yaml"], ["no suite 'no.yaml'"]),
    "one fold": (lambda root: None, [*RUN, "--folds", "1"], ["at least 2 folds"]),
    "no such device": (lambda root: None, [*RUN, "--devices", "99"], ["no device '99'"]),
    "no jobs": (lambda root: None, [*RUN, "--jobs-per-device", "0"], ["at least one job"]),
    "negative seed": (lambda root: None, ["run", "full", "--seeds", "-1"], ["seeds", "-1"]),
}


@pytest.mark.parametrize("case", [name for name in BROKEN_E4 if name != "too few subjects left"])
def test_bad_input_is_refused(place, data, capsys, case):
    spoil, words, expected = BROKEN_E4[case]
    spoil(data / "empatica_e4")
    assert_refused(place, capsys, words, expected)


def test_too_few_subjects_left(place, data, capsys):
    for name in SUBJECTS[:2]:
        without_signals(data / "empatica_e4" / name)
    before = listing(place)
    assert main(RUN) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "left out: P01, P02" in told[0]
    assert "at least 3 subjects" in told[-1]
    made = set(listing(place)) - set(before)
    assert [name for name in made if not name.startswith("cache/")] == []


BROKEN_WESAD: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "truncated pickle": (
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        ["S2.pkl"],
    ),
    "empty pickle": (lambda path: path.write_bytes(b""), ["S2.pkl"]),
    "another pickle": (lambda path: path.write_bytes(pickle.dumps([1, 2])), ["S2.pkl"]),
    "malicious pickle": (
        lambda path: path.write_bytes(pickle.dumps(Harmful(path.parents[3] / "harmed"))),
        ["S2.pkl"],
    ),
    "no pickle": (lambda path: path.unlink(), ["S2/S2.pkl", "1 of 15"]),
}


@pytest.mark.parametrize("case", BROKEN_WESAD)
def test_bad_wesad_is_refused(place, made_wesad, capsys, case):
    spoil, expected = BROKEN_WESAD[case]
    root = place / "data" / "WESAD"
    shutil.copytree(made_wesad, root)
    spoil(root / "S2" / "S2.pkl")
    words = ["run", "full", "--dataset", "wesad", "--subject", "S2"]
    assert_refused(place, capsys, words, [*expected, "expected"])
    assert not (place / "harmed").exists()


def test_harmful_pickle_would_harm(tmp_path):
    """Without it the test above could pass for the wrong reason."""
    pickle.loads(pickle.dumps(Harmful(tmp_path / "harmed")))
    assert (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"sedes": [0]}, ["sedes", "did you mean seeds?"]),
        ({"models": ["cnnn"]}, ["cnnn", "did you mean cnn?"]),
        ({"models": []}, ["at least one of models"]),
        ({"recipes": {"cnn": {"lr": -1}}}, ["lr", "-1"]),
        ({"recipes": {"cnn": {"max_epochs": "fast"}}}, ["max_epochs", "'fast'"]),
        ({"options": {"synthetic": {"n_subjects": 2}}}, ["at least 3 subjects", "found 2"]),
        ({"options": {"synthetic": {"n_subjects": "many"}}}, ["many"]),
        ({"options": {"synthetic": {"n_subjects": 2.5}}}, ["2.5"]),
        ({"options": {"synthetic": {"phase": 5}}}, ["phase >= 60"]),
        ({"options": {"synthetic": {"subjects": 5}}}, ["subjects", "n_subjects?"]),
        ({"signals": ["edo"]}, ["edo", "eda"]),
    ],
    ids=repr,
)
def test_bad_suite_is_refused(place, write_suite, capsys, keys, expected):
    assert_refused(place, capsys, ["run", str(write_suite(**keys))], expected)


@pytest.mark.parametrize("words", [["status"], ["leaderboard"]])
def test_no_runs(place, capsys, words):
    assert_refused(place, capsys, words, ["no r", "'runs'", "--runs"])


@pytest.mark.parametrize(
    "words",
    [
        ["data", "check", "wesed", "--root", "x"],
        ["data", "synthesize", "wesed", "--root", "x"],
        ["data", "download", "wesed", "--root", "x"],
    ],
)
def test_unknown_dataset(place, capsys, words):
    assert_refused(place, capsys, words, ["wesed", "did you mean wesad?"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data", "check", "wesad", "--root", "x"], ["no WESAD at 'x'", "S2/S2.pkl"]),
        (["data", "synthesize", "synthetic", "--root", "x"], ["cannot be synthesized"]),
        (
            ["data", "synthesize", "wesad", "--root", "x", "--subjects", "99"],
            ["1 to 15 subjects", "99"],
        ),
        (["data", "download", "deap", "--root", "x"], ["DEAP is not downloaded", "s01.dat"]),
        (["data", "download", "synthetic", "--root", "x"], ["not downloaded"]),
    ],
)
def test_data_that_cannot_be(place, capsys, words, expected):
    assert_refused(place, capsys, words, expected)


def test_download_replaces_nothing(place, data, capsys):
    words = ["data", "download", "stress_predict", "--root", str(data)]
    assert_refused(place, capsys, words, ["is not empty"])


def test_negative_effect(place, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["run", "quick", "--effect", "-1"])
    assert caught.value.code == 2
    assert "expected 0 or more" in capsys.readouterr().err
