"""Hand-crafted features of the suite against sixteen simple ones, by the probes' classifiers.

    OMP_NUM_THREADS=1 python tests/benchmarks/simple_features.py Stress-Predict-Dataset

Task stress of Stress-Predict, 34 people, windows of 60 s every 30 s inside one condition, one
person left out at a time: accuracy and macro F1 of all windows together. The simple features are
written anew here: of EDA mean, standard deviation, slope, range, rises a minute and their height;
of the pulse the rate by ``five_lines``, its standard deviation, RMSSD, amplitude, its variation,
intervals in the window; of temperature mean, standard deviation, slope and range.
RESULTS
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from benchmark.probes.classifiers import forest, linear
from datamodules.signals.features import features
from datamodules.signals.preprocessing import BVP_BEATS, preprocess
from datamodules.signals.recording import Recording
from datamodules.stress_predict import STRESS_PREDICT

Table = npt.NDArray[np.float64]

SECONDS, STRIDE = 60, 30
SIGNALS = ("bvp", "eda", "temp", "bvp_beats")


def slope(x: Table, sfreq: float) -> float:
    return float(np.polyfit(np.arange(len(x)) / sfreq, x, 1)[0])


def simple(eda: Table, bvp: Table, temp: Table) -> list[float]:
    smooth = np.convolve(eda, np.ones(4) / 4, "valid")
    peaks, found = scipy.signal.find_peaks(smooth, prominence=0.02)
    heights = found["prominences"]
    sos = scipy.signal.butter(2, (0.5, 4.0), "bandpass", fs=64.0, output="sos")
    pulse = scipy.signal.sosfiltfilt(sos, bvp)
    beats, _ = scipy.signal.find_peaks(pulse, distance=25.6, prominence=0.3 * pulse.std())
    intervals = np.diff(beats) / 64
    usable = len(intervals) > 2
    return [
        *(eda.mean(), eda.std(), slope(eda, 4), np.ptp(eda), len(peaks), heights.sum()),
        60 / np.median(intervals) if usable else 0.0,
        intervals.std() if usable else 0.0,
        np.sqrt((np.diff(intervals) ** 2).mean()) if usable else 0.0,
        *(pulse.std(), pulse[beats].std() if usable else 0.0, len(beats)),
        *(temp.mean(), temp.std(), slope(temp, 4), np.ptp(temp)),
    ]


def windows(recording: Recording) -> tuple[dict[str, list[Table]], list[int]]:
    """Return windows of every signal, shape (C, T) each, and their classes."""
    signals = preprocess(recording.signals, BVP_BEATS)
    cut: dict[str, list[Table]] = {name: [] for name in SIGNALS}
    classes = []
    task = STRESS_PREDICT.task()
    for segment in recording.segments:
        label = task.label(recording.subject, segment)
        for start in np.arange(segment.start, segment.stop - SECONDS + 1e-6, STRIDE):
            if label is None:
                continue
            classes.append(label)
            for name in SIGNALS:
                sfreq = signals[name].sfreq
                first = round(start * sfreq)
                cut[name].append(signals[name].samples[:, first : first + round(SECONDS * sfreq)])
    return cut, classes


def tables(root: Path) -> tuple[dict[str, Table], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return both sets of features, classes and people."""
    reader = STRESS_PREDICT.make_reader(root)
    rows: dict[str, list[Table]] = {"16 simple features": [], "features of the suite": []}
    classes, people = [], []
    for person, subject in enumerate(reader.subjects):
        (recording,) = reader.read(subject)
        assert isinstance(recording, Recording)
        cut, labels = windows(recording)
        classes += labels
        people += [person] * len(labels)
        wide = [
            features(name, np.stack(cut[name]).astype(np.float32), sfreq)
            for name, sfreq in (("bvp", 64.0), ("eda", 4.0), ("temp", 4.0), ("bvp_beats", 8.0))
        ]
        rows["features of the suite"].append(np.concatenate([values for values, _ in wide], axis=1))
        few = [
            simple(eda[0].astype(float), bvp[0].astype(float), temp[0].astype(float))
            for eda, bvp, temp in zip(cut["eda"], cut["bvp"], cut["temp"], strict=True)
        ]
        rows["16 simple features"].append(np.array(few))
    joined = {name: np.concatenate(parts) for name, parts in rows.items()}
    return joined, np.array(classes), np.array(people)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    found, classes, people = tables(parser.parse_args().root)
    print(f"{len(classes)} windows, {classes.mean():.0%} stress")
    for name, table in found.items():
        for model in (linear, forest):
            predicted = cross_val_predict(
                model(0, 2, table.shape), table, classes, groups=people, cv=LeaveOneGroupOut()
            )
            print(
                f"{name:<24} {model.__name__:<8} {table.shape[1]:>3} features  accuracy "
                f"{accuracy_score(classes, predicted):.3f}  macro F1 "
                f"{f1_score(classes, predicted, average='macro'):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
