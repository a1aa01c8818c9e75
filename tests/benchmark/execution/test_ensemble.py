"""An ensemble is the mean that its inner runs chose; a planted leak is refused."""

import dataclasses
import shutil

import numpy as np
import pytest

from benchmark.checks.verify import verify
from benchmark.ensembles.answers import answers_of
from benchmark.ensembles.greedy import choose
from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.execute import execute
from benchmark.plan.studies import training_people
from benchmark.store import PREDICTIONS, VALIDATION, Store, as_npz, parsed
from lightning_modules.units import score_units
from tests.benchmark.made_up import plant
from tests.benchmark.tuning.made_up import who_is_tested


@pytest.fixture
def places(ensembled, workshop, tmp_path):
    """Folders of a copy of the finished store."""
    shutil.copytree(ensembled.store.root, tmp_path / "runs")
    return workshop.places(tmp_path / "runs")


@pytest.fixture
def run(ensembled):
    """An ensemble of models that see windows of two lengths."""
    return next(r for r in ensembled.runs if {m.recipe.window for m in r.taken} == {30.0, 60.0})


def again(run):
    """Return the same work under another id, as what is done is not done again."""
    return dataclasses.replace(run, alone="0123456789ab")


def test_it_is_the_weighted_mean_over_units_of_what_its_members_answered(run, ensembled):
    answers = score_units(ensembled.store.predictions(run))
    of_members = {m: score_units(ensembled.store.predictions(m)) for m in run.taken}
    assert len(of_members) > 1
    assert sorted(answers) == sorted(who_is_tested(run))
    for subject, units in answers.items():
        expected = np.zeros(units.probabilities[0].shape)
        for member, weight in run.taken.items():
            theirs = of_members[member][subject]
            assert theirs.digest == units.digest
            expected += weight * theirs.probabilities[0] / sum(run.weights)
        assert units.probabilities[0] == pytest.approx(expected)


def test_its_result_says_what_its_members_cost(run, ensembled):
    result = ensembled.store.result(run)
    members = [ensembled.store.result(member) for member in run.taken]
    assert result.parameters == sum(member.parameters for member in members)
    assert result.train_seconds == pytest.approx(sum(m.seconds["train"] for m in members))
    assert "macs" not in result.efficiency  # probes have none
    assert result.averaged == {m.run.id: m.files[PREDICTIONS] for m in members}
    assert result.classes == members[0].classes
    assert result.raw == members[0].raw


def test_members_that_the_tested_people_chose_are_refused(run, ensembled, places):
    """The leak that pays: weights that score best on the very people who are tested."""
    answers = answers_of([ensembled.store.predictions(member) for member in run.members])
    leaky = choose(answers)
    assert leaky.weights != run.weights
    result = execute(dataclasses.replace(run, weights=leaky.weights), places)
    assert result.status == "failed"
    assert "expected the members that its inner runs chose" in result.error


def test_an_inner_run_with_a_tested_person_is_refused(run, places):
    store = Store(places.runs)
    first = store.load(store.inner_folders()[run.chosen_by[0]]).run
    (member,) = [one for one in run.members if one.model == first.model]
    everybody = {"subjects": run.subjects, "data": run.data, "samples": member.samples}
    leaky = dataclasses.replace(first, **everybody)
    assert execute(leaky, places).status == "done"
    planted = dataclasses.replace(run, chosen_by=(leaky.id, *run.chosen_by[1:]))
    result = execute(planted, places)
    assert result.error.startswith("LeakError: leak: members were chosen by the inner run")
    (stranger, *_) = [name for name in run.subjects if name not in training_people(run)]
    assert stranger in result.error


def test_a_member_of_another_fold_is_refused(run, ensembled, places):
    """It was trained on people whom the ensemble tests."""
    (other,) = [one for one in ensembled.runs if one is not run]
    result = execute(dataclasses.replace(run, members=other.members), places)
    assert result.error.startswith("LeakError: leak: an ensemble has a member of another fold")


def test_an_inner_run_of_no_member_is_refused(run, places):
    few = dataclasses.replace(run, members=run.members[1:], weights=run.weights[1:])
    assert "LeakError: leak: members were chosen by the inner run" in execute(few, places).error
    none = dataclasses.replace(run, chosen_by=())
    assert "expected the inner runs that chose its members" in execute(none, places).error


def test_a_tested_person_among_those_who_calibrate_a_member_is_refused(run, places):
    """The units that are tested would choose temperature and threshold of the ensemble."""
    store = Store(places.runs)
    (stranger, *_) = who_is_tested(run)
    for member in run.taken:  # all members answer for the same people
        folder = store.folder(member)
        kept = parsed((folder / VALIDATION).read_bytes(), folder, VALIDATION)
        tested = store.predictions(member)
        rows = tested["subject"] == stranger
        assert rows.any()
        assert stranger not in kept["subject"]
        leaky = {name: np.concatenate([kept[name], tested[name][rows]]) for name in kept}
        plant(folder / VALIDATION, as_npz(leaky))
    result = execute(again(run), places)
    assert result.status == "failed"
    assert f"LeakError: leak: a member was calibrated on ['{stranger}']" in result.error


def test_inner_predictions_that_changed_are_not_believed(run, places):
    store = Store(places.runs)
    path = store.inner_folders()[run.chosen_by[0]] / PREDICTIONS
    path.write_bytes(path.read_bytes() + b"0")
    assert "DamagedError" in execute(again(run), places).error


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_a_member_that_is_not_as_it_was_is_not_averaged(what, run, places):
    store = Store(places.runs)
    folder = store.folder(next(iter(run.taken)))
    if what == "gone":
        shutil.rmtree(folder)
    else:
        (folder / PREDICTIONS).write_bytes(b"other")
    result = execute(again(run), places)
    assert result.status == "failed"
    expected = "expected a finished member" if what == "gone" else "expected the file that was"
    assert expected in result.error


def test_it_is_verified(run, ensembled, workshop, in_process):
    store = ensembled.store
    verdict = verify(store.folder(run), workshop.places(store.root), in_process(), tolerance=0.0)
    assert verdict.equal, verdict


def test_it_keeps_no_model(run, ensembled):
    with pytest.raises(BenchmarkError, match="found an ensemble"):
        load_predictor(ensembled.store.folder(run))
