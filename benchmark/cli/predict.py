"""``affectbench predict``: a trained model on new recordings."""

import argparse

from benchmark.cli.outcome import DONE
from benchmark.errors import BenchmarkError
from benchmark.plan.suite import known_names
from benchmark.predict.predictor import load_predictor, predict_files, predict_subjects
from datamodules.catalogue import DATAMODULES


def predict(arguments: argparse.Namespace) -> int:
    """Write predictions of new recordings."""
    if not arguments.stride > 0:
        raise BenchmarkError(f"expected a positive --stride, found {arguments.stride}")
    predictor = load_predictor(arguments.checkpoint)
    if predictor.subjects:
        print(f"trained on {', '.join(predictor.subjects)}: be sure that they are other people")
    if arguments.dataset:
        known_names([arguments.dataset], DATAMODULES, "dataset")
        subjects = [str(name) for name in arguments.files]
        written = predict_subjects(
            predictor, arguments.dataset, arguments.root, subjects, arguments.out, arguments.stride
        )
    else:
        written = predict_files(predictor, arguments.files, arguments.out, arguments.stride)
    for path in written:
        print(path)
    return DONE
