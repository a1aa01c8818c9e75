"""Heads of boards: what they say of the protocol, of chance and of what is missing."""

import numpy as np
import pytest

from benchmark.boards.cohort import Cohort
from benchmark.boards.heads import board_head
from benchmark.scored import Scored
from datamodules.protocol import VERSION
from tests.benchmark.made_up import cohorts_of, make_run

SUBJECTS = ("S1", "S2", "S3", "S4", "S5", "S6", "S7")
VALUES = {"dataset": "wesad", "task": "stress", "seed": 0, "signals": ("eda",), "data": "a" * 16}


def cohort(scores: dict[str, np.ndarray], confusion=((2, 1), (1, 2)), **fields) -> Cohort:
    """A board of models with a score for each subject."""
    results = [
        Scored(
            make_run(model=model, fold=fold, subjects=SUBJECTS, **{**VALUES, **fields}),
            "done",
            scores={SUBJECTS[fold]: {"macro_f1": float(score)}},
            n_units={SUBJECTS[fold]: 6},
            confusion={SUBJECTS[fold]: [list(row) for row in confusion]},
            raw="r" * 16,
            device="cpu",
            versions={"python": "3.11"},
        )
        for model, of_model in scores.items()
        for fold, score in enumerate(of_model)
    ]
    (made,) = cohorts_of(results)
    return made


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "subjects disjoint, epoch chosen on validation subjects, test subjects"),
        ({"split": "trial_k_fold"}, "one model a subject, trials disjoint, epoch chosen on"),
        ({"validation": False}, "subjects disjoint, epoch chosen on what is trained on"),
        ({"version": 7}, "protocol 7, honest: "),
    ],
    ids=str,
)
def test_second_line_is_the_protocol(fields, words):
    line = board_head(cohort({"cnn": [0.5] * 5}, **fields), [])[1]
    assert line.startswith(f"protocol {fields.get('version', VERSION)}, honest: ")
    assert words in line
    assert line.endswith(" read once")


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"dataset": "deap"}, "yes"),
        ({"dataset": "deap", "split": "subject_k_fold"}, "yes"),
        ({"dataset": "deap", "split": "subject_stimulus_k_fold"}, "no"),
        ({"dataset": "seed_v", "split": "trial_k_fold"}, "no"),
        ({"dataset": "wesad"}, None),
        ({"dataset": "nobody_knows"}, None),
    ],
    ids=str,
)
def test_same_stimuli_are_named_where_people_share_any(fields, answer):
    head = board_head(cohort({"cnn": [0.5] * 5}, **fields), [])
    lines = [line for line in head if line.startswith("same stimuli: ")]
    assert [line[14:].partition(";")[0] for line in lines] == ([answer] if answer else [])


def test_sizes_and_chance():
    head = board_head(cohort({"cnn": [0.5] * 7, "majority": [0.25] * 7}), [])
    assert head[0].startswith("wesad__stress__leave_one_subject_out: macro F1")
    assert head[2].startswith("n = 7 subjects, 42 score units")
    (line,) = [x for x in head if x.startswith("chance, simulated with the class mix")]
    assert line.endswith("majority: macro F1 0.2500")
    assert f"data {'a' * 16}, raw files {'r' * 16}" in head
    assert "python 3.11; cpu" in head
    assert any(line.startswith("14 result(s) were kept by a version") for line in head)


def test_subjects_with_one_class_are_counted():
    head = board_head(cohort({"cnn": [0.5] * 7}, confusion=((3, 1), (0, 0))), [])
    assert any(x.startswith("7 of 7 subjects have score units of one class only") for x in head)
    assert not any("one class" in line for line in board_head(cohort({"cnn": [0.5] * 7}), []))


def test_a_planned_run_of_another_protocol_is_not_missing():
    board = cohort({"cnn": [0.5] * 7})
    fields = {"model": "lda", "fold": 0, "subjects": SUBJECTS, **VALUES}
    assert not any(
        "INCOMPLETE" in x for x in board_head(board, [make_run(version=VERSION + 1, **fields)])
    )
    head = board_head(board, [make_run(**fields)])
    assert "INCOMPLETE, 0 failed run(s), 1 planned run(s) not done: lda has not run" in head
