"""Domains of other rates and units: what tested models see, against SciPy and the same by hand.

Three made-up datasets: one as it is, one of other people at other rates and in other units, and
these other people once more, brought to the common form by their own reader.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.signal import resample_poly

from benchmark.boards.provenance import input_of
from benchmark.boards.scores import scored_results
from benchmark.boards.transfer import transfer_table
from benchmark.boards.versions import by_version
from benchmark.campaign import Reporter, planned
from benchmark.cli.main import main
from benchmark.execution.assemble import make_datamodule
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.domain import Domain
from benchmark.plan.suite import Suite
from benchmark.run import Run
from benchmark.store import Store
from datamodules.catalogue import DATASETS
from datamodules.protocol import Protocol
from datamodules.signals.beats import Beats
from datamodules.signals.cvxeda import TonicEDA
from datamodules.signals.recording import Signal
from datamodules.synthetic import SYNTHETIC, SyntheticReader

SEEN = ("bvp", "eda", "eda_tonic", "temp", "bvp_beats")
TRANSFER = (Domain("synthetic", (("phase", 60.0),)), Domain("elsewhere"), Domain("alike"))
FORMS = {
    "synthetic": (("temp", 2.0, ""),),
    "elsewhere": (("bvp", 64.0, ""), ("eda", 4.0, "uS")),
    "alike": (),
}


def lowered(samples, factor):
    """A lower rate, by SciPy, around the line through the first and the last sample."""
    x = samples.astype(np.float64)
    line = np.linspace(x[:, 0], x[:, -1], x.shape[1], axis=1)
    length = round(x.shape[1] / factor)
    return resample_poly(x - line, 1, factor, axis=1)[:, :length] + line[:, ::factor][:, :length]


@dataclass(frozen=True)
class ElsewhereReader(SyntheticReader):
    """Other people at other rates, and in other units."""

    seed: int = 7
    phase: float = 60.0

    def read(self, subject):
        for recording in super().read(subject):
            made = recording.signals
            changed = {
                "bvp": (np.repeat(made["bvp"].samples, 2, axis=1), 128.0, "a.u."),
                "eda": (1000 * np.repeat(made["eda"].samples, 2, axis=1), 8.0, "nS"),
                "temp": (made["temp"].samples[:, ::2], 2.0, "degC"),
            }
            signals = {
                name: Signal(samples.astype(np.float32), rate, made[name].channels, unit)
                for name, (samples, rate, unit) in changed.items()
            }
            yield replace(recording, signals=signals)


@dataclass(frozen=True)
class AlikeReader(ElsewhereReader):
    """The same people, brought to the form of others by hand."""

    def read(self, subject):
        for recording in super().read(subject):
            bvp, eda = recording.signals["bvp"], recording.signals["eda"]
            changed = {
                "bvp": (lowered(bvp.samples, 2), 64.0, "a.u."),
                "eda": (lowered(eda.samples / 1000, 2), 4.0, "uS"),
            }
            signals = {
                name: Signal(samples.astype(np.float32), rate, (name,), unit)
                for name, (samples, rate, unit) in changed.items()
            }
            yield replace(recording, signals={**recording.signals, **signals})


def dataset(name, reader, rates):
    shapes = {**{n: shape for n, shape in SYNTHETIC.signals.items() if n != "acc"}, **rates}
    return replace(SYNTHETIC, name=name, title=name, reader=reader, signals=shapes)


ELSEWHERE = dataset(
    "elsewhere",
    ElsewhereReader,
    {
        "bvp": (1, 128.0),
        "eda": (1, 8.0),
        "temp": (1, 2.0),
        "eda_tonic": (1, 8.0),
        "eda_phasic": (1, 8.0),
    },
)
ALIKE = dataset("alike", AlikeReader, {"temp": (1, 2.0)})


def plan(places, transfer=TRANSFER, **fields):
    values = {
        "datasets": tuple(dict.fromkeys(domain.dataset for domain in transfer)),
        "tasks": ("stress",),
        "splits": ("subject_k_fold",),
        "models": ("lda", "cnn", "majority"),
        "recipes": {"lda": {"window": 30.0}, "cnn": {"window": 30.0, "max_epochs": 1}},
        "recipe": "fast",
        "signals": SEEN,
        "transfer": transfer,
        "protocol": Protocol("subject_k_fold", 2),
        **fields,
    }
    return planned(Suite("small", **values), places, Reporter())[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("brought")
    places = Places(Path("none"), root / "cache", root / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "elsewhere", ELSEWHERE)
        patch.setitem(DATASETS, "alike", ALIKE)
        done = plan(places)
        results = {run: execute(run, places) for run in done.runs}
        yield SimpleNamespace(
            places=places, plan=done, results=results, store=Store(places.runs), runs=done.runs
        )


SAME_PEOPLE = {"elsewhere", "alike"}


def test_every_domain_is_brought_to_the_lowest_rate_and_one_unit(world):
    failed = {run for run, result in world.results.items() if result.status != "done"}
    assert {(r.trained[0].dataset, r.dataset) for r in failed} == {
        ("elsewhere", "alike"),
        ("alike", "elsewhere"),
    }
    assert {(run.dataset, run.brought) for run in world.runs} == set(FORMS.items())
    tested = [run for run in world.runs if run.trained]
    assert {(r.trained[0].dataset, r.dataset) for r in tested} == {
        (one, other) for one in FORMS for other in FORMS if one != other
    }
    for run in tested:
        assert run.trained[0].brought == FORMS[run.trained[0].dataset]
        assert run.trained[0] in world.runs  # the diagonal is the very model that is tested
        assert Run.from_dict(run.as_dict()) == run


def test_people_who_are_in_both_are_found_by_the_signals_that_were_not_changed(world):
    """Those that were are other samples: of a person in two forms throughout, nobody would know."""
    errors = [result.error for result in world.results.values() if result.error]
    assert errors
    for error in errors:
        assert "of elsewhere and S" in error or "of alike and S" in error
        assert " of temp" in error
        assert " of eda" not in error
        assert " of bvp" not in error


def test_boards_and_their_heads_say_so(world):
    boards = {run.board for run in world.runs if not run.trained}
    assert boards == {
        "synthetic_phase_60_temp_at_2_Hz__stress__subject_2_fold",
        "elsewhere_bvp_at_64_Hz_eda_at_4_Hz_in_uS__stress__subject_2_fold",
        "alike__stress__subject_2_fold",
    }
    (across,) = {
        run.board
        for run in world.runs
        if run.trained and (run.dataset, run.trained[0].dataset) == ("alike", "synthetic")
    }
    assert across == "alike__stress__dataset_out_by_2_of_synthetic_phase_60_temp_at_2_Hz"
    lines = world.plan.notes[across]
    assert any("temp of synthetic phase=60.0 is brought from 4 to 2 Hz" in line for line in lines)
    elsewhere = world.plan.notes[next(name for name in boards if name.startswith("elsewhere"))]
    assert any("eda of elsewhere is brought from 8 to 4 Hz and to uS" in x for x in elsewhere)


def module_of(world, name, model="lda"):
    run = next(r for r in world.runs if (r.dataset, r.model, r.fold) == (name, model, 0))
    module = make_datamodule(run, world.places, SEEN)
    module.prepare_data()
    module.setup()
    return module


def test_samples_are_those_of_scipy_and_what_is_derived_comes_after(world):
    archive = module_of(world, "elsewhere").fold.archive
    for row, recording in enumerate(archive.recordings):
        (raw,) = ElsewhereReader().read(recording.subject)
        bvp = lowered(raw.signals["bvp"].samples, 2)
        eda = lowered(raw.signals["eda"].samples.astype(np.float64) / 1000, 2)
        for name, expected in (("bvp", bvp), ("eda", eda)):
            actual = archive.samples(name)[row]
            assert np.abs(actual - expected).max() < 1e-5 * np.abs(expected).max()
            at_common_rate = Signal(actual, 64.0 if name == "bvp" else 4.0, (name,), "")
            derived = {"bvp": Beats("bvp"), "eda": TonicEDA()}[name](at_common_rate)
            stored = archive.samples({"bvp": "bvp_beats", "eda": "eda_tonic"}[name])[row]
            np.testing.assert_array_equal(stored, derived.samples)
        np.testing.assert_array_equal(archive.samples("temp")[row], raw.signals["temp"].samples)
    assert {stored.unit for stored in archive.stored("eda")} == {"uS"}


def test_windows_follow(world):
    shapes = {
        name: {n: (s.n_channels, s.n_times, s.sfreq) for n, s in module.inputs.items()}
        for name, module in ((name, module_of(world, name)) for name in FORMS)
    }
    assert shapes["synthetic"] == shapes["elsewhere"] == shapes["alike"]
    assert shapes["synthetic"]["temp"] == (1, 60, 2.0)
    assert shapes["synthetic"]["bvp"] == (1, 1920, 64.0)


@pytest.mark.parametrize("model", ["lda", "cnn"])
def test_predictions_are_those_for_the_same_numbers_in_the_right_form(world, model):
    """Trained on one, a model says the same of people whose signals were brought, by whomever."""
    for fold in range(2):
        one, other = (
            world.store.predictions(run)
            for name in ("elsewhere", "alike")
            for run in world.runs
            if (run.dataset, run.model, run.fold) == (name, model, fold)
            and run.trained
            and run.trained[0].dataset == "synthetic"
        )
        assert len(one["start"]) == len(other["start"]) > 20
        for column in ("subject", "unit", "start", "label"):
            assert (one[column] == other[column]).all()
        assert np.abs(one["probabilities"] - other["probabilities"]).max() < 1e-4
        assert np.ptp(one["probabilities"]) > 0


def test_the_diagonal_is_of_the_form_that_is_tested(world):
    today, _ = by_version(scored_results(world.store), world.runs)
    table = transfer_table(today).set_index(["model", "trained_on", "tested_on"])
    names = {run.domain for run in world.runs}
    assert len(names) == 3
    for model in ("lda", "cnn"):
        for one in names:
            for other in names:
                line = table.loc[(model, one, other)]
                pair = {one.split("_")[0], other.split("_")[0]}
                strangers = one == other or pair != SAME_PEOPLE
                assert line["n_people"] == 4 * strangers
                if one != other and strangers:
                    assert line["within"] == pytest.approx(
                        table.loc[(model, other, other)]["macro_f1"]
                    )


def test_a_lower_rate_is_no_input_of_live_use(world):
    of_cnn = {run.dataset: input_of(run) for run in world.runs if run.model == "cnn"}
    assert of_cnn["alike"] == input_of_own(world, "alike")
    bvp = next(r for r in world.runs if (r.dataset, r.model) == ("elsewhere", "cnn"))
    assert input_of(replace(bvp, signals=("bvp",))) == "offline"
    assert input_of(replace(bvp, signals=("bvp",), brought=())) == "causal"
    in_microsiemens = replace(bvp, signals=("eda",), brought=(("eda", 0.0, "uS"),))
    assert input_of(in_microsiemens) == "causal"


def input_of_own(world, name):
    return input_of(next(r for r in world.runs if (r.dataset, r.model) == (name, "cnn")))


def test_own_boards_stay_as_they_are(world):
    """Without a matrix, and in one of domains that are alike, nothing is brought anywhere."""
    own = plan(world.places, transfer=(), datasets=("synthetic", "elsewhere"))
    assert {run.brought for run in own.runs} == {()}
    (board,) = {run.board for run in own.runs if run.dataset == "elsewhere"}
    assert board == "elsewhere__stress__subject_2_fold"
    alike = (Domain("alike"), Domain("alike", (("seed", 3),)))
    assert {run.brought for run in plan(world.places, alike).runs} == {()}
    ours = {run.id for run in plan(world.places, transfer=(), datasets=("alike",)).runs}
    assert ours <= {run.id for run in plan(world.places, alike).runs}
    assert ours <= {run.id for run in world.runs}


def test_a_model_predicts_people_of_its_dataset_in_the_form_of_its_training(world, tmp_path):
    run = next(
        r
        for r in world.runs
        if (r.dataset, r.model, r.fold) == ("synthetic", "lda", 0) and not r.trained
    )
    before, out = world.store.predictions(run), tmp_path / "new.csv"
    subject = str(before["subject"][0])
    words = ["--dataset", "synthetic", "--option", "phase=60.0", "--stride", "10"]
    folder = str(world.store.folder(run))
    assert main(["predict", folder, subject, *words, "--out", str(out)]) == 0
    after = pd.read_csv(out).set_index("start")["p_stress"]
    of_subject = before["subject"] == subject
    starts = before["start"][of_subject]
    assert len(starts) > 5
    expected = before["probabilities"][of_subject, 1]
    assert after.loc[starts].to_numpy() == pytest.approx(expected, abs=1e-4)


def test_a_changed_form_is_another_run(world):
    run = next(r for r in world.runs if r.brought and r.model == "majority")
    assert replace(run, brought=()).id != run.id


def test_a_model_is_not_tested_on_another_form(world):
    """As by a plan that forgot to bring the tested domain to the form of the model."""
    run = next(
        r
        for r in world.runs
        if r.trained and r.dataset == "elsewhere" and r.trained[0].dataset == "synthetic"
    )
    own = next(
        r
        for r in plan(world.places, transfer=(), datasets=("elsewhere",)).runs
        if (r.model, r.fold) == (run.model, run.fold)
    )
    forgotten = replace(run, brought=(), samples=own.samples)
    result = execute(forgotten, world.places)
    assert result.status == "failed"
    assert "expected signals of the shapes" in result.error
