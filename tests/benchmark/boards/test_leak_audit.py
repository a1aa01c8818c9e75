"""What a flaw adds, against plain loops over the predictions; flawed runs are never ranked."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmark.boards.board import write_leaderboards
from benchmark.boards.leak_audit import audit_table, without
from benchmark.boards.scores import scored_results
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.run import Run
from benchmark.store import VALIDATION, Store
from datamodules.protocol import VERSION, Protocol
from tests.benchmark.made_up import boards_of, cohorts_of

OPTIONS = {"n_subjects": 6, "lasting": 3.0}
RW, OS = "random_windows", "oversample_before_split"


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Store:
    cache, runs = (tmp_path_factory.mktemp(name) for name in ("cache", "runs"))
    suite = Suite(
        "small",
        ("noise",),
        tasks=("fear",),
        splits=("subject_k_fold",),
        protocol=Protocol(folds=2),
        models=("lda", "dnn"),
        seeds=(0, 1),
        recipe="fast",
        recipes={"dnn": {"max_epochs": 2, "balance": "oversample", "stride": 40.0}},
        options={"noise": OPTIONS},
        flaws=((RW,), (RW, OS), ("report_best_epoch",), ("report_mean_over_epochs",)),
    )
    plan = expand(suite, {"noise": prepare("noise", Path("none"), cache, OPTIONS, ())})
    for run in plan.runs:
        if run.model == "dnn" and run.seed:
            continue
        result = execute(run, Places(Path("none"), cache, runs))
        assert result.status == "done", result.traceback
    return Store(runs)


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Trials that are not padded, and padded with zeros and with means; nothing tells which."""
    cache, runs = (tmp_path_factory.mktemp(name) for name in ("cache", "runs"))
    flag = "pad_reveals_length"
    suite = Suite(
        "small",
        ("noise",),
        splits=("subject_k_fold",),
        protocol=Protocol(folds=2),
        models=("lda",),
        options={"noise": {"n_subjects": 6}},
        parts=({"flaws": ((flag,),)}, {"flags": (flag,), "padding": "mean"}),
    )
    plan = expand(suite, {"noise": prepare("noise", Path("none"), cache, {"n_subjects": 6}, ())})
    assert len(plan.runs) == 3 * 2
    for run in plan.runs:
        result = execute(run, Places(Path("none"), cache, runs))
        assert result.status == "done", result.traceback
    return Store(runs)


def test_one_table_says_what_each_padding_adds_and_how_they_differ(padded: Store) -> None:
    table = audit_table(scored_results(padded), padded)
    assert len(set(table["board"])) == 1
    lines = {(line["flaw"], line["padding"]): line for line in table.to_dict("records")}
    flag = ("pad_reveals_length",)
    assert set(lines) == {(*flag, "zero"), (*flag, "mean"), ("mean for zero", "mean")}
    scores = {
        padding: plain_scores(padded, "lda", flag if padding else (), padding)
        for padding in (None, "zero", "mean")
    }
    mean = {
        padding: np.mean([of["macro_f1"] for of in subjects.values()])
        for padding, subjects in scores.items()
    }
    for (flaw, padding), line in lines.items():
        before = "zero" if flaw == "mean for zero" else None
        assert line["without"] == pytest.approx(mean[before], abs=1e-6)
        assert line["with"] == pytest.approx(mean[padding], abs=1e-6)
        assert line["besides"] == ("+".join(flag) if before else "")
    assert lines["mean for zero", "mean"]["reading"].startswith("mean for zero adds ")


def plain_scores(
    store: Store, model: str, flags: tuple[str, ...], padding: str | None = None
) -> dict[str, dict[str, float]]:
    """Mean over seeds of macro F1 and accuracy of each subject, unit by unit."""
    rows: list[dict[str, Any]] = []
    for result in store.results():
        protocol = result.run.protocol
        if (result.run.model, protocol.flags, protocol.padding) != (model, flags, padding):
            continue
        found = store.predictions(result.run)
        for i, subject in enumerate(found["subject"].tolist()):
            unit = (found["session"][i], found["trial"][i], found["unit"][i])
            p = found["probabilities"][i]
            rows.append(
                {"key": (result.run.seed, subject, *unit), "p": p, "y": int(found["label"][i])}
            )
    sums: dict[Any, Any] = {}
    for row in rows:
        sums[row["key"]] = sums.get(row["key"], 0) + row["p"]
    label = {row["key"]: row["y"] for row in rows}
    scores: dict[str, dict[str, list[float]]] = {}
    for seed, subject in sorted({key[:2] for key in sums}):
        own = [key for key in sums if key[:2] == (seed, subject)]
        truth, told = [label[key] for key in own], [int(np.argmax(sums[key])) for key in own]
        of = scores.setdefault(subject, {"macro_f1": [], "accuracy": []})
        of["macro_f1"].append(f1_score(truth, told, average="macro"))
        of["accuracy"].append(accuracy_score(truth, told))
    return {s: {n: float(np.mean(v)) for n, v in of.items()} for s, of in scores.items()}


@pytest.mark.parametrize(
    ("model", "flaw", "before", "after"),
    [
        ("lda", RW, (), (RW,)),
        ("lda", f"{RW}+{OS}", (), (RW, OS)),
        ("lda", OS, (RW,), (RW, OS)),
        ("dnn", RW, (), (RW,)),
        ("dnn", "report_best_epoch", (), ("report_best_epoch",)),
    ],
)
def test_what_a_flaw_adds_in_a_plain_loop(
    audited: Store, model: str, flaw: str, before: Any, after: Any
) -> None:
    table = audit_table(scored_results(audited), audited)
    (line,) = table[
        (table.model == model) & (table.flaw == flaw) & (table.besides == "+".join(before))
    ].to_dict("records")
    one, two = (plain_scores(audited, model, flags) for flags in (before, after))
    assert len(one) == line["n_subjects"] == 6
    assert line["n_seeds"] == (2 if model == "lda" else 1)
    for prefix, name in (("", "macro_f1"), ("accuracy_", "accuracy")):
        moved = np.array([two[s][name] - one[s][name] for s in sorted(one)])
        assert line[f"{prefix}adds"] == pytest.approx(moved.mean(), abs=1e-6)
        assert np.isnan([line[f"{prefix}low"], line[f"{prefix}high"]]).all()  # of six subjects
    assert line["without"] == pytest.approx(
        np.mean([s["macro_f1"] for s in one.values()]), abs=1e-6
    )
    assert line["same_windows"] is True
    assert line["relabelled"] == 0
    assert line["reading"].startswith(f"{flaw.replace('+', ' and ')} adds ")


def test_mean_over_epochs_is_that_of_every_epoch(audited: Store) -> None:
    found = [
        r for r in scored_results(audited) if r.run.protocol.flags == ("report_mean_over_epochs",)
    ]
    honest = {
        (r.run.fold, r.run.seed): r
        for r in scored_results(audited)
        if not r.run.protocol.flags and r.run.model == "dnn"
    }
    for result in found:
        kept = audited.predictions(result.run)
        assert kept["of_epochs"].shape[0] == 2
        for subject, scores in result.scores.items():
            own = kept["subject"] == subject
            trials = np.unique(kept["trial"][own])
            means = []
            for epoch in kept["of_epochs"]:
                truth = [int(kept["label"][own & (kept["trial"] == t)][0]) for t in trials]
                told = [int(epoch[own & (kept["trial"] == t)].sum(axis=0).argmax()) for t in trials]
                means.append(f1_score(truth, told, average="macro"))
            assert scores["macro_f1"] == pytest.approx(np.mean(means), abs=1e-6)
        # Trained as the honest run was: one of the epochs is the one that it chose.
        plain = audited.predictions(honest[result.run.fold, result.run.seed].run)["probabilities"]
        assert any(np.allclose(plain, epoch, atol=1e-5) for epoch in kept["of_epochs"])


def test_flawed_runs_are_never_ranked(audited: Store, tmp_path: Path) -> None:
    everything = scored_results(audited)
    assert any(result.run.protocol.flags for result in everything)
    for cohort in cohorts_of(everything):
        assert not any(result.run.protocol.flags for result in cohort.results)
    write_leaderboards(audited, tmp_path / "both")
    honest = Store(tmp_path / "honest")
    for result in everything:
        if not result.run.protocol.flags:
            folder = audited.folder(result.run)
            kept = {path.name: path for path in folder.glob(VALIDATION)}
            honest.save(result, audited.predictions(result.run), kept)
    for board in boards_of(honest):
        for model, reason in audited.not_applicable(board.name).items():
            honest.note_cells({}, {f"{board.name}/{model}": reason})
    write_leaderboards(honest, tmp_path / "alone")
    names = {path.name for path in (tmp_path / "both").glob("*.csv")}
    assert names - {path.name for path in (tmp_path / "alone").glob("*.csv")} == {"leak_audit.csv"}
    for path in (tmp_path / "alone").glob("*.csv"):
        assert path.read_bytes() == (tmp_path / "both" / path.name).read_bytes()
    (flawed,) = (tmp_path / "both" / "flawed").glob(f"*with_{RW}.csv")
    head = flawed.read_text().splitlines()
    assert "NOT RANKED" in head[0]
    assert any(line.startswith(f"# protocol {VERSION}; data ") for line in head)
    table = pd.read_csv(flawed, comment="#")
    assert list(table["model"]) == ["dnn", "lda"]
    assert set(table["flags"]) == {RW}
    want = plain_scores(audited, "lda", (RW,))
    f1 = float(table.loc[table["model"] == "lda", "macro_f1"].iloc[0])
    assert f1 == pytest.approx(np.mean([s["macro_f1"] for s in want.values()]), abs=1e-4)


def test_subjects_on_other_units_are_not_compared(audited: Store, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for result in audited.results():
        run = result.run
        if run.model != "lda" or run.protocol.flags not in ((), (RW,)) or run.seed:
            continue
        kept = audited.predictions(run)
        if run.protocol.flags:
            keep = ~((kept["subject"] == "N1") & (kept["trial"] == 3))
            kept = {name: column[keep] for name, column in kept.items()}
        store.save(result, kept)
    (line,) = audit_table(scored_results(store), store).to_dict("records")
    assert line["n_subjects"] == 5


def test_without_a_flaw_a_run_is_the_honest_one() -> None:
    honest = Protocol("subject_k_fold")
    run = Run("seed_v", "emotion", honest, 0, 0, "dnn", ("eeg_de",), ("1",), "d")
    dealt = dataclasses.replace(run, protocol=honest.with_flags([RW]))
    assert without(dealt, (RW,)).id == run.id
    padding = Protocol("subject_k_fold", padding="zero", flags=("pad_reveals_length",))
    assert without(dataclasses.replace(run, protocol=padding), padding.flags).id == run.id
    teacher = dataclasses.replace(run, model="lstm")
    taught = dataclasses.replace(run, distiller="soft_targets", teachers=(teacher,))
    flawed = dataclasses.replace(
        taught,
        protocol=honest.with_flags(["teacher_selected_on_test"]),
        teachers=(dataclasses.replace(teacher, protocol=honest.with_flags(["select_on_test"])),),
    )
    assert flawed.id != taught.id
    assert without(flawed, flawed.protocol.flags).id == taught.id
