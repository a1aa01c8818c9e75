"""The common form of domains: the lowest rate, one unit of a quantity, and what stays as it is."""

from dataclasses import replace

import pytest

from benchmark.plan.brought import forms_of, lines_of_forms
from benchmark.plan.domain import Domain
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Suite
from benchmark.plan.transfer import expand_transfer
from datamodules.catalogue import DATASETS
from datamodules.signals.preprocessing import derived_shapes
from datamodules.signals.recording import STATIC_RATE
from datamodules.synthetic import SYNTHETIC

WRIST = {"bvp": (1, 64.0), "eda": (1, 4.0), "temp": (1, 4.0), "acc": (3, 32.0)}
UNITS = {"bvp": ("a.u.",), "eda": ("uS",), "temp": ("degC",), "acc": ("g",)}
PEOPLE = tuple(f"{letter}{number}" for letter in "ab" for number in range(3))


@pytest.fixture
def forms(monkeypatch):
    """Makes the forms of two domains from their shapes and units."""

    def made(shapes=(), units=(), signals=(), **fields):
        domains = {}
        for name in ("one", "two"):
            recorded = {**WRIST, **dict(shapes).get(name, {})}
            signals_of = derived_shapes(recorded, SYNTHETIC.preprocessing)
            monkeypatch.setitem(DATASETS, name, replace(SYNTHETIC, name=name, signals=signals_of))
            domains[Domain(name)] = Prepared(
                PEOPLE,
                {},
                name,
                units={**UNITS, **dict(units).get(name, {})},
                **fields.get(name, {}),
            )
        suite = Suite("s", tasks=("stress",), signals=signals, transfer=tuple(domains))
        return {domain.dataset: brought for domain, brought in forms_of(suite, domains).items()}

    return made


def test_domains_that_are_alike_stay_as_they_are(forms):
    assert forms() == {"one": (), "two": ()}


def test_the_higher_rate_is_lowered_on_either_side(forms):
    shapes = {"one": {"bvp": (1, 128.0)}, "two": {"eda": (1, 15.0)}}
    assert forms(shapes) == {"one": (("bvp", 64.0, ""),), "two": (("eda", 4.0, ""),)}


def test_other_channels_are_another_signal(forms):
    shapes = {"one": {"acc": (1, 16.0), "temp": (1, 1.0)}}
    assert forms(shapes) == {"one": (), "two": (("temp", 1.0, ""),)}


def test_signals_that_no_model_sees_are_left_alone(forms):
    shapes = {"one": {"temp": (1, 1.0), "bvp": (1, 128.0), "eda": (1, 8.0)}}
    assert forms(shapes, signals=("bvp",))["one"] == (("bvp", 64.0, ""),)


def test_what_a_seen_signal_is_derived_of_is_brought(forms):
    shapes = {"one": {"bvp": (1, 128.0), "eda": (1, 8.0)}}
    seen = ("bvp_beats", "eda_tonic")
    assert forms(shapes, signals=seen)["one"] == (("bvp", 64.0, ""), ("eda", 4.0, ""))


def test_a_signal_that_somebody_lacks_sets_no_rate(forms):
    shapes = {"one": {"temp": (1, 1.0)}}
    assert forms(shapes, one={"lacking": {"temp": PEOPLE[:1]}}) == {"one": (), "two": ()}


def test_a_vector_that_holds_for_a_recording_has_no_rate_to_lower(forms):
    assert forms({"one": {"temp": (1, STATIC_RATE)}}) == {"one": (), "two": ()}


def test_units_are_those_that_features_go_by(forms):
    units = {"one": {"eda": ("nS",), "temp": ("K",)}, "two": {"eda": ("S",)}}
    assert forms(units=units) == {
        "one": (("eda", 0.0, "uS"), ("temp", 0.0, "degC")),
        "two": (("eda", 0.0, "uS"),),
    }


def test_units_that_are_equal_stay_as_they_are(forms):
    units = {"one": {"eda": ("nS",)}, "two": {"eda": ("nS",)}}
    assert forms(units=units) == {"one": (), "two": ()}


def test_recordings_of_one_domain_may_have_several(forms):
    units = {"one": {"bvp": ("V", "uV")}, "two": {"bvp": ("mV",)}}
    assert forms(units=units) == {"one": (("bvp", 0.0, "mV"),), "two": ()}


def test_a_unit_without_a_conversion_stays_and_the_rate_does_not(forms):
    units = {"one": {"eda": ("kOhm",), "bvp": ("a.u.", "mV")}, "two": {"bvp": ("mV",)}}
    assert forms({"one": {"eda": (1, 8.0)}}, units) == {"one": (("eda", 4.0, ""),), "two": ()}


def test_lines_say_what_was_done(forms):
    forms({"one": {"bvp": (1, 128.0)}})
    recordings = Prepared((), {}, "", brought=(("bvp", 64.0, "mV"), ("eda", 0.0, "uS")))
    assert list(lines_of_forms(Domain("one"), recordings)) == [
        "bvp of one is brought from 128 to 64 Hz and to mV, as other domains of the matrix have "
        "it, before anything is derived of it",
        "eda of one is brought to uS, as other domains of the matrix have it, before anything is "
        "derived of it",
    ]


def test_a_pair_without_a_conversion_is_refused_and_others_are_not(forms):
    """Also where models see the beats alone, whose amplitudes are in the unit of the wave."""
    forms()
    units = {"one": {**UNITS, "bvp": ("mV",)}, "two": UNITS}
    prepared = {
        Domain(name): Prepared(PEOPLE, {}, name, units=of, longest={"stress": 60.0})
        for name, of in units.items()
    }
    for seen, refused in ((("bvp_beats", "temp"), True), (("temp",), False)):
        suite = Suite(
            "s",
            tasks=("stress",),
            splits=("subject_k_fold",),
            models=("lda",),
            signals=seen,
            transfer=(Domain("one"), Domain("two")),
        )
        plan = expand_transfer(suite, prepared)
        assert any(run.trained for run in plan.runs) is not refused
        reasons = list(plan.not_applicable.values())
        assert len(reasons) == 2 * refused
        if refused:
            assert reasons[0].startswith(
                "expected bvp in mV, as one has it, found a.u., from which there is no conversion."
            )
