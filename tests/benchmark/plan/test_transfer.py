"""The matrix of a suite: which pairs are run, on which signals and windows, and why not others."""

import dataclasses

import pytest
import yaml

from benchmark.plan.domain import Domain
from benchmark.plan.expand import Prepared
from benchmark.plan.parse import load_suite
from benchmark.plan.suite import Suite, SuiteError
from benchmark.plan.transfer import domains_of, expand_transfer, shared_signals
from benchmark.run import Run
from datamodules.catalogue import DATASETS
from datamodules.protocol import Protocol

FIRST, SECOND = (tuple(f"{letter}{number:02d}" for number in range(1, 7)) for letter in ("S", "f"))
PEOPLE = tuple(f"S{number:02d}" for number in range(2, 8))
LONGEST = {"stress": 30.0, "exercise": 60.0}
ONE, TWO, BOTH = (
    Domain("wearable_stress", options) for options in ((("version", 1),), (("version", 2),), ())
)
EXERCISE = Domain("wearable_stress", task="exercise", test_only=True)
OTHER = Domain("stress_predict")


def recordings(people, data, **fields):
    return Prepared(people, {}, data * 16, longest=LONGEST, **fields)


PREPARED = {
    OTHER: dataclasses.replace(recordings(PEOPLE, "a"), longest={"stress": 180.0}),
    BOTH: recordings((*FIRST, *SECOND), "b"),
    ONE: recordings(FIRST, "c"),
    TWO: recordings(SECOND, "d"),
    EXERCISE: recordings((*FIRST, *SECOND), "b"),
}


def matrix(domains=PREPARED, prepared=None, **fields):
    values = {
        "tasks": ("stress",),
        "splits": ("subject_k_fold",),
        "models": ("lda",),
        "recipes": {"lda": {"window": 30.0}},
        "transfer": tuple(domains),
        "protocol": Protocol("subject_k_fold", 3),
        **fields,
    }
    suite = Suite("s", **values)
    return expand_transfer(suite, prepared or {domain: PREPARED[domain] for domain in domains})


def pairs(plan):
    return {(run.trained[0].domain, run.domain, run.task) for run in plan.runs if run.trained}


def test_every_pair_of_other_people_is_run_with_each_fold():
    plan = matrix(seeds=(0, 1))
    one, two = "wearable_stress_version_1", "wearable_stress_version_2"
    assert pairs(plan) == {
        ("stress_predict", "wearable_stress", "stress"),
        ("stress_predict", one, "stress"),
        ("stress_predict", two, "stress"),
        ("stress_predict", "wearable_stress", "exercise"),
        ("wearable_stress", "stress_predict", "stress"),
        ("wearable_stress", "wearable_stress", "exercise"),
        (one, "stress_predict", "stress"),
        (one, two, "stress"),
        (one, "wearable_stress", "exercise"),
        (two, "stress_predict", "stress"),
        (two, one, "stress"),
        (two, "wearable_stress", "exercise"),
    }
    across = [run for run in plan.runs if run.trained]
    assert len(across) == 12 * 2 * 3
    assert len(plan.runs) == len(across) + 4 * 2 * 3
    places = {run: place for place, run in enumerate(plan.runs)}
    for run in across:
        (trained,) = run.trained
        assert (run.fold, run.seed) == (trained.fold, trained.seed)
        assert places[trained] < places[run]
        assert run.protocol == Protocol("dataset_out", folds=3)
        assert not trained.trained
        assert Run.from_dict(run.as_dict()) == run
    assert len({run.id for run in plan.runs}) == len(plan.runs)


def test_a_board_of_transferred_models_is_named_after_where_they_come_from():
    boards = {run.board for run in matrix([OTHER, ONE]).runs if run.trained}
    assert boards == {
        "stress_predict__stress__dataset_out_by_3_of_wearable_stress_version_1",
        "wearable_stress_version_1__stress__dataset_out_by_3_of_stress_predict",
    }


def test_people_who_are_in_both_are_no_other_people():
    reasons = matrix([BOTH, ONE]).not_applicable
    assert reasons == {
        f"{board}/lda": "expected other people, found S01, S02, S03, S04, S05, ... in both"
        for board in (
            "wearable_stress__stress__dataset_out_by_3_of_wearable_stress_version_1",
            "wearable_stress_version_1__stress__dataset_out_by_3_of_wearable_stress",
        )
    }


def test_equal_names_of_two_datasets_are_two_people():
    assert set(PEOPLE) & set(FIRST)
    assert ("stress_predict", "wearable_stress_version_1", "stress") in pairs(matrix())


def test_what_keeps_no_model_is_not_tested_elsewhere():
    plan = matrix([OTHER, ONE], models=("majority",))
    assert not pairs(plan)
    assert set(plan.not_applicable.values()) == {"it sees no signal"}


def test_models_see_what_all_domains_have_in_one_shape():
    lacking = {
        OTHER: dataclasses.replace(PREPARED[OTHER], lacking={"temp": PEOPLE[:1]}),
        ONE: PREPARED[ONE],
    }
    plan = matrix([OTHER, ONE], prepared=lacking)
    assert {run.signals for run in plan.runs} == {("bvp", "eda", "bvp_beats")}
    assert all(any("all domains" in line for line in lines) for lines in plan.notes.values())
    assert all("temp" in run.signals for run in matrix([OTHER, ONE]).runs)


def test_domains_that_share_no_signal_are_refused_with_what_they_have():
    suite = Suite("s", tasks=("stress",), transfer=(OTHER, Domain("eegmat")))
    prepared = {OTHER: PREPARED[OTHER], Domain("eegmat"): recordings(FIRST, "e")}
    with pytest.raises(SuiteError, match=r"found none .*eegmat: eeg 19 @ 500 Hz"):
        shared_signals(suite, prepared)


@pytest.mark.parametrize(("longest", "window"), [(30.0, None), (59.0, None), (60.0, 60.0)])
def test_a_long_window_stands_around_a_short_unit_where_there_is_room(longest, window):
    prepared = {
        OTHER: PREPARED[OTHER],
        ONE: dataclasses.replace(PREPARED[ONE], longest={"stress": longest}),
    }
    plan = matrix([OTHER, ONE], prepared=prepared, recipes={})
    assert DATASETS["wearable_stress"].unit == 30.0
    away = [run for run in plan.runs if run.trained and run.dataset == "wearable_stress"]
    if window is None:
        assert not away
        (reason,) = plan.not_applicable.values()
        assert reason.startswith("its windows are of 60 s, and around some score units of Wearable")
        assert f"there is room for {longest:g} s" in reason
        return
    assert {run.window for run in away} == {window}
    assert any("windows of 60 s around score units" in n for n in plan.notes[away[0].board])


def test_a_window_that_its_own_units_cap_stays_as_it_was_trained():
    """Trained on units of 30 s, the model gets 30 s of units of 60 s too."""
    runs = matrix([OTHER, ONE], recipes={}).runs
    (window,) = {r.recipe.window for r in runs if r.trained and r.dataset == "stress_predict"}
    assert window == 30.0


def test_another_threshold_of_ratings_has_no_place_elsewhere():
    plan = matrix([ONE, TWO], tasks=("self_report",), protocol=Protocol(rule="median"))
    assert not pairs(plan)
    assert all("label rule median" in reason for reason in plan.not_applicable.values())


def folders(tmp_path, *names):
    for name in names:
        (tmp_path / name).mkdir()
    return tmp_path


def test_found_is_every_dataset_with_the_task_that_has_a_folder(tmp_path):
    data = folders(tmp_path, "stress_predict", "wearable_stress", "eegmat")
    suite = Suite(
        "s", tasks=("stress",), transfer=(Domain("found"), TWO, EXERCISE, Domain("wesad"))
    )
    assert domains_of(suite, data) == (OTHER, BOTH, TWO, EXERCISE)


def test_one_domain_alone_is_refused(tmp_path):
    suite = Suite("s", tasks=("stress",), transfer=(Domain("found"), Domain("wesad")))
    with pytest.raises(SuiteError, match=r"two domains to be there.*found stress_predict"):
        domains_of(suite, folders(tmp_path, "stress_predict", "eegmat"))


def test_the_suite_of_the_project_has_what_is_there(tmp_path):
    domains = domains_of(load_suite("transfer"), folders(tmp_path, "wearable_stress", "wesad"))
    assert domains == (Domain("wesad"), BOTH, ONE, TWO, EXERCISE)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"transfer": "wesad"}, "a list of names of datasets"),
        ({"transfer": [{"task": "stress"}]}, "a mapping with dataset"),
        ({"transfer": [{"dataset": "wesad", "test_only": 1}]}, "test_only to be of type bool"),
        ({"transfer": [{"dataset": "wesad", "tset_only": True}]}, "did you mean test_only"),
        ({"transfer": ["wesda"]}, "did you mean wesad"),
        ({"transfer": ["wesad"], "tasks": []}, "tasks of a transfer matrix by their names"),
        ({"transfer": ["wesad"], "budget": 2}, "trained alone: .* found budget"),
        ({"splits": ["dataset_out"]}, "split 'dataset_out' is not known"),
    ],
)
def test_a_suite_that_cannot_be_is_refused(tmp_path, keys, message):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"tasks": ["stress"], **keys}))
    with pytest.raises(SuiteError, match=message):
        load_suite(str(path))


def test_options_are_those_of_the_reader(tmp_path):
    suite = Suite(
        "s", tasks=("stress",), transfer=(OTHER, Domain("wearable_stress", (("verison", 1),)))
    )
    with pytest.raises(SuiteError, match="did you mean version"):
        domains_of(suite, folders(tmp_path, "stress_predict", "wearable_stress"))
