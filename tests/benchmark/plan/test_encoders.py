"""Encoders in a plan: rows where there are weights, and one reason where they do not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.encoders.files import Weights, WeightsError
from benchmark.plan.expand import expand, signals_of
from benchmark.plan.parse import load_suite
from benchmark.plan.suite import SuiteError, every_model
from benchmark.probes.catalogue import PROBES, encoder_probes
from benchmark.probes.encoders import ENCODERS, Encoder
from benchmark.recordings.prepare import prepare
from tests.benchmark.encoders.conftest import TINY, Tiny

ROWS = {"labram", "labram_untrained", "cbramod", "cbramod_untrained"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, probe in encoder_probes("tiny", TINY).items():
        monkeypatch.setitem(PROBES, name, probe)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pth"
    torch.save(Tiny("ab", 160).state_dict(), path)
    return path


def planned(workshop, models, **fields):
    suite = workshop.suite(models, recipes={}, **fields)
    options = suite.options["synthetic"]
    found = prepare("synthetic", Path("none"), workshop.cache, options, suite.subjects)
    return expand(suite, {"synthetic": found})


def test_all_models_are_those_without_weights_and_those_that_have_them(workshop, weights):
    assert set(every_model()) > ROWS
    plain = planned(workshop, ["all"])
    models = {run.model for run in plain.runs} | {
        key.partition("/")[2] for key in plain.not_applicable
    }
    assert not models & (ROWS | {"tiny", "tiny_untrained"})
    more = planned(workshop, ["all"], encoders={"tiny": Weights(str(weights))})
    assert {run.model for run in more.runs} - models == {"tiny", "tiny_untrained"}
    kept = {run.id for run in plain.runs}
    assert kept == {run.id for run in more.runs if not run.model.startswith("tiny")}


def test_rows_take_the_windows_and_signals_of_the_encoder(workshop, weights):
    plan = planned(workshop, ["tiny"], encoders={"tiny": Weights(str(weights))})
    assert {run.signals for run in plan.runs} == {("eda", "bvp")}
    assert {(run.recipe.window, run.recipe.stride) for run in plan.runs} == {(20.0, 10.0)}


def test_signals_of_an_encoder_are_known_before_a_file_is_read(workshop, weights):
    """Its channels are known, and looked at, when these were read."""
    suite = workshop.suite(["tiny"], recipes={}, encoders={"tiny": Weights(str(weights))})
    signals = signals_of(suite, "synthetic")
    assert signals == ("bvp", "eda")
    options = suite.options["synthetic"]
    words = "synthetic", Path("none"), workshop.cache, options, suite.subjects
    some, everything = prepare(*words, signals), prepare(*words)
    assert set(some.channels) == {"bvp", "eda"}
    plan = expand(suite, {"synthetic": some})
    assert plan.runs
    assert plan == expand(suite, {"synthetic": everything})


def test_window_may_be_longer_than_a_unit(workshop, monkeypatch):
    long = Encoder(Tiny, ("eda",), 4.0, 100.0, ("wesad",), "long")
    monkeypatch.setitem(PROBES, "tiny_untrained", encoder_probes("tiny", long)["tiny_untrained"])
    options = {"synthetic": {"n_subjects": 4, "phase": 120.0}}
    plan = planned(workshop, ["tiny_untrained"], options=options)
    assert {run.window for run in plan.runs} == {100.0}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("tiny", "takes weights from a file, found none: give it by --encoder tiny=FILE"),
        ("labram_untrained", "takes eeg; there is no eeg"),
    ],
)
def test_what_does_not_apply_has_a_reason(workshop, model, said):
    plan = planned(workshop, [model])
    assert not plan.runs
    assert list(plan.not_applicable.values()) == [said]


def test_network_says_what_it_cannot_take(workshop, monkeypatch):
    def build(channels, n_times):
        assert channels == ["eda", "bvp"]
        raise ValueError(f"expected another length than {n_times}")

    other = Encoder(build, ("eda", "bvp"), 8.0, 20.0, ("wesad",), "other")
    monkeypatch.setitem(PROBES, "tiny_untrained", encoder_probes("x", other)["x_untrained"])
    plan = planned(workshop, ["tiny_untrained"])
    assert list(plan.not_applicable.values()) == ["expected another length than 160"]


def test_recordings_that_name_channels_differently_are_refused(workshop):
    suite = workshop.suite(["tiny_untrained"], recipes={})
    options = suite.options["synthetic"]
    found = prepare("synthetic", Path("none"), workshop.cache, options, suite.subjects)
    assert expand(suite, {"synthetic": found}).runs
    differing = replace(found, channels={**found.channels, "bvp": ("",)})
    plan = expand(suite, {"synthetic": differing})
    assert not plan.runs
    assert list(plan.not_applicable.values()) == [
        "takes channels by name: expected the same names of eda, bvp in all recordings, found "
        "others in some"
    ]


def test_weights_that_do_not_fit_end_the_call(workshop, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(Tiny("abc", 160).state_dict(), path)
    with pytest.raises(
        WeightsError, match=r"body\.weight of shape 8 x 3 x 5 in place of 8 x 2 x 5"
    ):
        planned(workshop, ["tiny"], encoders={"tiny": Weights(str(path))})


def test_weights_of_no_encoder_are_refused(workshop, weights):
    for name in ("tinny", "tiny_untrained", "lda"):
        with pytest.raises(SuiteError, match=f"weights of encoder '{name}' is not known: .*tiny"):
            workshop.suite(["lda"], encoders={name: Weights(str(weights))})


def test_rows_join_models_that_a_suite_names(workshop, weights):
    suite = workshop.suite(["lda"], parts=({"models": ("cnn",)}, {"seeds": (1,)}))
    more = suite.with_encoders({"tiny": Weights(str(weights))})
    assert more.models == ("lda", "tiny", "tiny_untrained")
    assert more.parts == ({"models": ("cnn", "tiny", "tiny_untrained")}, {"seeds": (1,)})
    assert workshop.suite(["all"]).with_encoders(more.encoders).models == ("all",)


def test_file_of_a_suite_is_named_from_its_folder(write_suite, tmp_path):
    path = write_suite(
        encoders={"tiny": "files/a.pth", "labram": {"file": "b.pth", "pretrained_on": ["deap"]}}
    )
    assert load_suite(str(path)).encoders == {
        "tiny": Weights(str(tmp_path / "files" / "a.pth")),
        "labram": Weights(str(tmp_path / "b.pth"), ("deap",)),
    }


@pytest.mark.parametrize(
    "value",
    [
        ["a.pth"],
        {"tiny": 3},
        {"tiny": {"pretrained_on": ["deap"]}},
        {"tiny": {"file": "a", "x": 1}},
        {"tiny": {"file": "a", "pretrained_on": "deap"}},
    ],
)
def test_entry_that_is_none_is_refused(write_suite, value):
    with pytest.raises(SuiteError, match="encoders"):
        load_suite(str(write_suite(encoders=value)))


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_encoders_of_this_project_say_what_they_saw(encoder):
    assert encoder.pretrained_on
    assert not encoder.is_causal({"eeg": 200.0})
    network = encoder.build(["Cz", "Fp1"], round(encoder.window * encoder.sfreq))
    with torch.inference_mode():
        window = torch.zeros(1, 2, round(encoder.window * encoder.sfreq))
        assert network.eval()(window).ndim == 2
