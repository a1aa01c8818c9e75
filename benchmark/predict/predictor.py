"""Predictions on new recordings, from the checkpoint of a run or from published weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.store import write_text
from datamodules.batch import LENGTH
from datamodules.catalogue import DATAMODULES
from datamodules.empatica_e4 import EmpaticaE4DataModule
from datamodules.formats.empatica import FILES, read_session
from datamodules.signals.preprocessing import preprocess
from datamodules.signals.recording import Recording, Signal
from datamodules.wesad import WESADDataModule, WESADReader
from lightning_modules.attention_lrcn import PUBLISHED_INPUTS, load_published
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS

PUBLISHED_CLASSES = ("baseline", "stress", "amusement")
"""Order of the classes in the authors' weights of Attention-LRCN."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Okabe and Ito's, which colour-blind people can tell apart."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 300, 50, 40, 50, 40
"""Of a plot and its margins, in units of the SVG."""
BATCH = 64
"""Windows that are on the device at once."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model and what it was trained with.

    Attributes:
        model: In eval mode.
        inputs: Shapes of the signals that it takes, by name.
        classes: Names of the K classes.
        mean: Of the scaling, by signal, shape (C, 1); empty where samples are taken as recorded.
        std: Likewise.
        subjects: Who it was trained on.
        trials: Keys of the trials that it was trained on; empty for all of those subjects.
        chosen_on: Subjects who chose its epoch.
        chosen_on_trials: Keys of the trials that did; empty for all of those subjects.
    """

    model: EmotionClassifier
    inputs: Mapping[str, Any]
    classes: Sequence[str]
    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]
    subjects: Sequence[str]
    trials: Sequence[str]
    chosen_on: Sequence[str] = ()
    chosen_on_trials: Sequence[str] = ()

    @property
    def window(self) -> float:
        """Length of a window in seconds."""
        spec = next(iter(self.inputs.values()))
        return float(spec.n_times / spec.sfreq)

    def predict(
        self, signals: Mapping[str, Signal], stride: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Start in seconds (N,) and probabilities (N, K) of every whole window of a recording.

        Raises:
            BenchmarkError: A signal is missing, of another rate or number of channels, or shorter
                than a window.
        """
        if LENGTH in self.inputs:
            raise BenchmarkError(
                "the model was trained on whole padded trials: expected one that was trained on "
                "windows"
            )
        for name, spec in self.inputs.items():
            signal = signals.get(name)
            found = f"{len(signal.channels)} @ {signal.sfreq:g} Hz" if signal else "none"
            if signal is None or (len(signal.channels), signal.sfreq) != (
                spec.n_channels,
                spec.sfreq,
            ):
                raise BenchmarkError(
                    f"the model takes {name} with {spec.n_channels} channel(s) @ {spec.sfreq:g} "
                    f"Hz, found {found}"
                )
        shortest = min(signals[name].duration for name in self.inputs)
        if shortest < self.window:
            raise BenchmarkError(
                f"expected a recording of at least {self.window:g} s, found {shortest:g} s"
            )
        starts = np.arange(0, shortest - self.window + 1e-6, stride)
        parts = []
        with torch.inference_mode():
            for chunk in np.array_split(starts, np.arange(BATCH, len(starts), BATCH)):
                batch = {name: self._gathered(name, signals[name], chunk) for name in self.inputs}
                parts.append(self.model(batch).logits.softmax(dim=1).double().numpy())
        return starts, np.concatenate(parts)

    def _gathered(self, name: str, signal: Signal, starts: npt.NDArray[np.float64]) -> Tensor:
        length = self.inputs[name].n_times
        first = torch.from_numpy(np.rint(starts * signal.sfreq).astype(np.int64))
        first = first.clamp(max=signal.samples.shape[1] - length)
        views = torch.from_numpy(signal.samples).unfold(1, length, 1).transpose(0, 1)
        window = views.index_select(0, first)  # (B, C, T)
        return (window - self.mean[name]) / self.std[name] if name in self.mean else window


def load_predictor(checkpoint: Path) -> Predictor:
    """A model of a finished run, or of the authors' published Attention-LRCN weights.

    Args:
        checkpoint: ``model.ckpt`` of a run, with ``run.json`` beside it; or a folder with the
            authors' three files.

    Raises:
        BenchmarkError: Neither of them.
    """
    if checkpoint.is_dir():
        folds = sorted(path.name.split("_net_")[0] for path in checkpoint.glob("*_net_lrcn.pt"))
        if len(folds) != 1:
            raise BenchmarkError(
                f"{checkpoint}: expected one <fold>_net_lrcn.pt of the published weights, found "
                f"{len(folds)}"
            )
        published = load_published(checkpoint, folds[0])
        return Predictor(published, PUBLISHED_INPUTS, PUBLISHED_CLASSES, {}, {}, (), ())
    described = checkpoint.with_name("run.json")
    if not checkpoint.is_file() or not described.is_file():
        raise BenchmarkError(
            f"{checkpoint}: expected the model.ckpt of a finished run with its run.json beside it, "
            "found no such files"
        )
    run = json.loads(described.read_text())
    kind = MODELS.get(run["model"])
    if kind is None:
        raise BenchmarkError(
            f"{described}: expected a model of the catalogue, found {run['model']}"
        )
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load promises no particular one for a broken file
        raise BenchmarkError(f"{checkpoint} cannot be read as a checkpoint: {error}") from error
    states = [value for name, value in content.items() if name.endswith("DataModule")]
    if len(states) != 1:
        raise BenchmarkError(f"{checkpoint}: expected the scaling of its run, found none")
    (state,) = states
    model = kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    return Predictor(
        model,
        content["hyper_parameters"]["inputs"],
        state["classes"],
        state["mean"],
        state["std"],
        state["train"],
        state["trials"],
        state.get("chosen_on", ()),
        state.get("chosen_on_trials", ()),
    )


def predict_files(
    predictor: Predictor, files: Sequence[Path], out: Path, stride: float
) -> list[Path]:
    """Predict every recording and write one table; for E4 folders a plot each beside it.

    Args:
        predictor: The model.
        files: Session folders of an Empatica E4, or ``.pkl`` files of WESAD.
        out: The CSV: file, start (seconds), time (UTC, where the recording knows it), the class of
            highest probability, and the probability of each class.
        stride: From one window's start to the next, in seconds.

    Returns:
        The files written.

    Raises:
        BenchmarkError: A file that is neither, or does not fit the model; nothing is written then.
    """
    tables, plots = [], {}
    for path in files:
        start, signals = _read(path)
        seconds, table = _table(predictor, str(path), signals, start, stride)
        tables.append(table)
        if start is not None:
            plot = out.with_name(f"{out.stem}-{path.resolve().name}.svg")
            plots[plot] = plot_probabilities(
                path.resolve().name,
                seconds + predictor.window / 2,
                table[[f"p_{name}" for name in predictor.classes]].to_numpy(),
                predictor.classes,
            )
    write_text(out, pd.concat(tables).to_csv(index=False, float_format="%.4f"))
    for plot, text in plots.items():
        write_text(plot, text)
    return [out, *plots]


def predict_subjects(
    predictor: Predictor,
    dataset: str,
    root: Path,
    subjects: Sequence[str],
    out: Path,
    stride: float,
) -> list[Path]:
    """Predict every recording of some subjects of a dataset, read and prepared as for training.

    Args:
        predictor: The model.
        dataset: Catalogue key.
        root: Of the dataset's files.
        subjects: Names of subjects.
        out: The CSV, as of ``predict_files``; ``file`` names subject, session and first trial.
        stride: From one window's start to the next, in seconds.

    Returns:
        The file written.

    Raises:
        AffectbenchError: No such dataset or subject, or files that are not the publisher's.
        BenchmarkError: Recordings that do not fit the model; nothing is written then.
    """
    module = DATAMODULES[dataset]
    options = {option: True for name, option in module.optional.items() if name in predictor.inputs}
    reader = module.make_reader(root if module.has_files else None, **options)
    tables = []
    for subject in module.check_subjects(reader, subjects):
        for recording in reader.read(subject):
            if isinstance(recording, Recording):
                name = f"{subject} session {recording.session}"
                if recording.segments:
                    name += f" trial {recording.segments[0].trial}"
                signals = preprocess(recording.signals, module.preprocessing)
                tables.append(_table(predictor, name, signals, None, stride)[1])
    write_text(out, pd.concat(tables).to_csv(index=False, float_format="%.4f"))
    return [out]


def _table(
    predictor: Predictor,
    name: str,
    signals: Mapping[str, Signal],
    start: float | None,
    stride: float,
) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    """Starts of windows in seconds, and a line for each."""
    seconds, probabilities = predictor.predict(signals, stride)
    table = pd.DataFrame({"file": name, "start": seconds})
    table["time"] = [_utc(start + second) if start is not None else "" for second in seconds]
    table["predicted"] = np.array(predictor.classes)[probabilities.argmax(axis=1)]
    for position, label in enumerate(predictor.classes):
        table[f"p_{label}"] = probabilities[:, position]
    return seconds, table


def _read(path: Path) -> tuple[float | None, Mapping[str, Signal]]:
    """Start in UTC seconds, if known, and signals as a model is given them."""
    if path.is_dir():
        session = read_session(path)
        return session.start, preprocess(session.signals, EmpaticaE4DataModule.preprocessing)
    if path.suffix == ".pkl" and path.is_file():
        found = WESADReader(path.parent.parent).read(path.stem)
        (recording,) = (r for r in found if isinstance(r, Recording))
        return None, preprocess(recording.signals, WESADDataModule.preprocessing)
    raise BenchmarkError(
        f"{path}: expected a session folder of an Empatica E4 ({', '.join(FILES.values())}) or a "
        "SX/SX.pkl of WESAD; subjects of any other dataset with --dataset and --root"
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plot_probabilities(
    title: str,
    seconds: npt.NDArray[np.float64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[str],
) -> str:
    """Probabilities over time as SVG.

    Args:
        title: Above the plot.
        seconds: Middle of each window, shape (N,).
        probabilities: Shape (N, K).
        classes: Names of the K classes.
    """
    span = max(float(seconds[-1] - seconds[0]), 1e-9)
    x = LEFT + (seconds - seconds[0]) / span * (WIDTH - LEFT - RIGHT)
    inner = HEIGHT - TOP - BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for level in (0.0, 0.5, 1.0):
        y = TOP + (1 - level) * inner
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#cccccc"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{level:g}</text>'
        )
    for share in np.linspace(0, 1, 6):
        at = LEFT + share * (WIDTH - LEFT - RIGHT)
        minutes = (seconds[0] + share * span) / 60
        lines.append(
            f'<text x="{at:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{minutes:.1f} min</text>'
        )
    for position, name in enumerate(classes):
        curve = TOP + (1 - probabilities[:, position]) * inner
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, curve, strict=True))
        colour = COLOURS[position % len(COLOURS)]
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{LEFT + 130 * position}" y="38" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"
