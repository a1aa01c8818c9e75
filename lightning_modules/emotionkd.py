"""EmotionKD: a teacher on EEG and skin conductance, a student on skin conductance alone."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Inputs, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.choices import check_choice
from lightning_modules.layers import DebiasedBatchNorm1d, DebiasedBatchNorm2d
from lightning_modules.recipe import Recipe

ImfInputs = Literal["figure", "code"]
ExtractorPooling = Literal["none", "time_mean"]

WIDTH = 64
"""Number of features of a token, and of a head of attention."""

N_HEADS = 8
"""Number of heads, each as wide as a token: 512 features in all, not the usual 64."""

N_BLOCKS = 3
"""Number of transformer blocks of a branch; the outputs of all are fused."""

N_POSITIONS = 64
"""Number of rows of a table of positions; 61 are used."""

FINEST_HOP = 1 / 16
"""Seconds from one token to the next in windows of up to 4 s; 8 samples at 128 Hz."""

SPAN = 4
"""Number of hops that a token's filter spans: a quarter of a second in windows of up to 4 s."""

KERNEL_PENALTY = 1e-3
"""Factor of the sum of squares of the convolution kernels in the loss."""

TEACHER = Recipe(
    source="authors' code: optimiser, learning rate, window; the rest is this project's, as the "
    "code has no training script",
    window=4.0,
    stride=4.0,
    lr=5e-5,
    eps=1e-7,  # of the authors' framework
    batch_size=64,
    max_epochs=100,
    patience=20,
)

STUDENT = replace(
    TEACHER,
    source="authors' code: optimiser, window; the learning rate is 100 times theirs, as at 1e-6 no "
    "weight moves by more than about a hundredth in 10 000 steps; the rest is this project's, as "
    "the code has no training script",
    lr=1e-4,
)

FAST = replace(
    TEACHER,
    source="this project's: fewer windows and epochs, smaller batches; learning rate tuned with "
    "the student on validation subjects of Stress-Predict (tests/benchmarks/tune_fast.py), not "
    "with the teacher; not stopped early, as the ninth epoch was the first that was no constant "
    "(tests/benchmarks/longer_fast.csv)",
    stride=40.0,
    lr=3e-4,
    batch_size=32,
    max_epochs=10,
    patience=None,
    tuned_on=("stress_predict",),
)


def token_grid(inputs: Inputs) -> tuple[int, float]:
    """Return the number of tokens of each signal, and the seconds from one to the next.

    Both follow from the window's length in seconds alone, which is read from the fastest signal.
    So all branches of a teacher, and its student on another signal, have tokens at the same times.
    Tokens are 1/16 s apart, or a 64th of the window where that is more, and span four times as
    much. The last one ends with the window. So windows from 4 s on have 61 tokens, and shorter ones
    16 for each second, less three.

    Returns:
        The number L, less than one if the window is too short for a token, and the hop.
    """
    spec = max(inputs.values(), key=lambda spec: spec.sfreq)
    window = spec.n_times / spec.sfreq
    hop = max(FINEST_HOP, window / N_POSITIONS)
    return math.floor(window / hop + 1e-6) - SPAN + 1, hop


class Head(nn.Module):
    """Tokens of a signal: one bank of filters in time for all channels, then one across channels.

    The filters span ``SPAN`` hops, and at least one sample. Where a hop is no whole number of
    samples, a token's filter begins at the last sample that is no later than the token; where it
    is less than one, neighbouring tokens read the same sample. At 128 Hz and 4 s this is a
    convolution of 32 samples with a stride of 8.

    Args:
        spec: The signal.
        n_tokens: Number of tokens, L.
        hop: Seconds from one token to the next.
    """

    samples: Tensor

    def __init__(self, spec: SignalSpec, n_tokens: int, hop: float) -> None:
        super().__init__()
        length = min(spec.n_times, max(1, round(SPAN * hop * spec.sfreq)))
        starts = (torch.arange(n_tokens, dtype=torch.float64) * (hop * spec.sfreq) + 1e-6).long()
        starts = starts.clamp(max=spec.n_times - length)
        self.n_tokens = n_tokens
        if spec.n_times == length:  # all tokens are equal: one is computed
            starts = starts[:1]
        samples = starts[:, None] + torch.arange(length)  # (L, length)
        self.register_buffer("samples", samples.flatten(), persistent=False)
        self.filters = nn.Conv2d(1, WIDTH, (1, length), stride=(1, length))
        self.norm = DebiasedBatchNorm2d(WIDTH, eps=1e-3)
        self.mix = nn.Conv2d(WIDTH, WIDTH, (spec.n_channels, 1))
        self.dropout = nn.Dropout(0.3)

    def forward(self, window: Tensor) -> Tensor:
        """Return tokens, shape (B, L, 64), of a window of shape (B, C, T)."""
        frames = window[..., self.samples].unsqueeze(1)  # (B, 1, C, L x length), side by side
        maps = torch.relu(self.norm(self.filters(frames)))  # (B, 64, C, L)
        tokens = self.mix(maps).squeeze(2).transpose(1, 2)  # (B, L, 64)
        dropped: Tensor = self.dropout(tokens.expand(-1, self.n_tokens, -1))
        return dropped


class SelfAttention(nn.Module):
    """Eight heads of width 64 each over tokens of width 64, which torch's module does not offer."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * N_HEADS * WIDTH)
        self.out = nn.Linear(N_HEADS * WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, L, 64)."""
        qkv = self.qkv(tokens).unflatten(2, (3, N_HEADS, WIDTH))  # (B, L, 3, 8, 64)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()  # (B, 8, L, 64) each
        heads = F.scaled_dot_product_attention(query, key, value)  # (B, 8, L, 64)
        mixed: Tensor = self.out(heads.transpose(1, 2).flatten(2))  # (B, L, 64)
        return mixed


class TransformerBlock(nn.Module):
    """Attention and two dense layers, each normalised after it is added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = SelfAttention()
        self.first_norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.dense = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.second_norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.dropout = nn.Dropout(0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, L, 64)."""
        tokens = self.first_norm(tokens + self.dropout(self.attention(tokens)))
        tokens = self.second_norm(tokens + self.dropout(self.dense(tokens)))
        return tokens


class Branch(nn.Module):
    """Tokens of a signal with their positions, and three transformer blocks.

    Args:
        spec: The signal.
        n_tokens: Number of tokens, L.
        hop: Seconds from one token to the next.
    """

    def __init__(self, spec: SignalSpec, n_tokens: int, hop: float) -> None:
        super().__init__()
        self.head = Head(spec, n_tokens, hop)
        self.positions = nn.Parameter(torch.zeros(N_POSITIONS, WIDTH))
        self.blocks = nn.ModuleList(TransformerBlock() for _ in range(N_BLOCKS))

    def forward(self, window: Tensor) -> list[Tensor]:
        """Return the output of each block, shape (B, L, 64), of a window of shape (B, C, T)."""
        tokens = self.head(window)
        tokens = tokens + self.positions[: tokens.shape[1]]
        depths = []
        for block in self.blocks:
            tokens = block(tokens)
            depths.append(tokens)
        return depths


class Scored(nn.Module):
    """Tokens, each feature weighted by a score in (-1, 1).

    The scores are softsign(norm(W2 relu(norm(W1 x)))), the same layers for all tokens; a negative
    one flips a feature's sign.

    Args:
        pooling: ``"none"``, a score for each token; ``"time_mean"``, one for all tokens of a
            window, from their mean.
    """

    def __init__(self, pooling: ExtractorPooling) -> None:
        super().__init__()
        self.pooling = pooling
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, WIDTH),
            DebiasedBatchNorm1d(WIDTH, eps=1e-3),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            DebiasedBatchNorm1d(WIDTH, eps=1e-3),
            nn.Softsign(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, L, 64)."""
        scored = tokens.mean(dim=1, keepdim=True) if self.pooling == "time_mean" else tokens
        scores = self.layers(scored.flatten(0, 1)).unflatten(0, scored.shape[:2])  # (B, L or 1, 64)
        weighted: Tensor = scores * tokens  # (B, L, 64)
        return weighted


class Fusion(nn.Module):
    """Interactivity-based modal fusion: scored tokens of a shallow and a deeper block, added.

    Args:
        pooling: Pooling of both scores; see Scored.
    """

    def __init__(self, pooling: ExtractorPooling) -> None:
        super().__init__()
        self.shallow = Scored(pooling)
        self.deep = Scored(pooling)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Return fused tokens, of the shape of both inputs: (B, L, 64), L for all signals."""
        fused: Tensor = self.shallow(shallow) + self.deep(deep)
        return fused


def classifier(n_features: int, n_classes: int) -> nn.Sequential:
    """Return four dense layers with nothing between them: in effect a linear map, as published."""
    return nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(n_features, 128),
        nn.Linear(128, 128),
        nn.Linear(128, 128),
        nn.Linear(128, n_classes),
    )


def initialize(network: nn.Module) -> None:
    """Draw the weights as the authors' framework does.

    Glorot's uniform distribution, zero biases, positions within 0.05. The framework reads the
    kernels of attention, which have three axes there, as those of convolutions, so their bounds are
    smaller: 0.0361 for query, key and value, 0.0765 for the output.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Branch):
            nn.init.uniform_(module.positions, -0.05, 0.05)
    inner = N_HEADS * WIDTH
    for module in network.modules():
        if isinstance(module, SelfAttention):
            bound = math.sqrt(6 / (inner + WIDTH * WIDTH))
            nn.init.uniform_(module.qkv.weight, -bound, bound)
            bound = math.sqrt(6 / (inner + inner))
            nn.init.uniform_(module.out.weight, -bound, bound)


def kernel_penalty(network: nn.Module) -> Tensor:
    """Return 0.001 times the sum of squares of all convolution kernels, without biases."""
    kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    return KERNEL_PENALTY * torch.stack([kernel.square().sum() for kernel in kernels]).sum()


class EmotionKDTeacherNetwork(nn.Module):
    """A branch for each signal; fusion of the first with the second block, and second with third.

    Tokens of all signals are joined along time, in the order of ``inputs``. The embedding is the
    sum of both fusions, token after token: 7 808 features for two signals of 4 s.

    Args:
        inputs: Two signals or more; the paper takes 28 channels of ``"eeg"`` and one of ``"eda"``.
        n_classes: Number of classes, K.
        imf_inputs: ``"figure"`` fuses the deeper tokens of every signal; ``"code"`` takes the
            shallow tokens of the first signal in place of its deeper ones, as the authors' code
            does. The third block of that signal then learns nothing.
        extractor_pooling: Pooling of the scores; see Scored.
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        imf_inputs: ImfInputs = "figure",
        extractor_pooling: ExtractorPooling = "none",
    ) -> None:
        super().__init__()
        self.imf_inputs = imf_inputs
        n_tokens, hop = token_grid(inputs)
        self.branches = nn.ModuleDict(
            {name: Branch(spec, n_tokens, hop) for name, spec in inputs.items()}
        )
        self.fusions = nn.ModuleList(Fusion(extractor_pooling) for _ in range(N_BLOCKS - 1))
        self.classifier = classifier(len(inputs) * n_tokens * WIDTH, n_classes)
        initialize(self)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        branches = [branch(signals[name]) for name, branch in self.branches.items()]
        fused = []
        for depth, fusion in enumerate(self.fusions):
            shallow = [depths[depth] for depths in branches]  # (B, L, 64) for each signal
            deep = [depths[depth + 1] for depths in branches]
            if self.imf_inputs == "code":
                deep[0] = shallow[0]
            fused.append(fusion(torch.cat(shallow, dim=1), torch.cat(deep, dim=1)))
        embedding = torch.stack(fused).sum(dim=0).flatten(1)  # (B, D)
        return Output(self.classifier(embedding), embedding)


class EmotionKDStudentNetwork(nn.Module):
    """One branch; scored tokens of its three blocks, added.

    The embedding is that sum, token after token: 3 904 features for 4 s.

    Args:
        inputs: One signal; the paper takes one channel of ``"eda"``.
        n_classes: Number of classes, K.
        extractor_pooling: Pooling of the scores; see Scored.
    """

    def __init__(
        self, inputs: Inputs, n_classes: int, extractor_pooling: ExtractorPooling = "none"
    ) -> None:
        super().__init__()
        ((self.signal, spec),) = inputs.items()
        n_tokens, hop = token_grid(inputs)
        self.branch = Branch(spec, n_tokens, hop)
        self.scores = nn.ModuleList(Scored(extractor_pooling) for _ in range(N_BLOCKS))
        self.classifier = classifier(n_tokens * WIDTH, n_classes)
        initialize(self)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        depths = self.branch(signals[self.signal])  # three times (B, L, 64)
        scored = [score(tokens) for score, tokens in zip(self.scores, depths, strict=True)]
        embedding = torch.stack(scored).sum(dim=0).flatten(1)  # (B, D)
        return Output(self.classifier(embedding), embedding)


class EmotionKDModel(EmotionClassifier):
    """Base of teacher and student: cross-entropy with a penalty on the kernels."""

    def penalized(self, loss: Tensor) -> Tensor:
        """Return a loss plus the penalty on the kernels."""
        return loss + kernel_penalty(self.network)

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless every signal has a sample, and the window a token."""
        super().check_inputs(inputs)
        for name, spec in inputs.items():
            if spec.n_channels < 1 or spec.n_times < 1:
                raise IncompatibleRunError(
                    f"{cls.__name__} takes at least one channel and one sample of each signal, "
                    f"found {spec.n_channels} and {spec.n_times} of {name}. Take a longer window."
                )
        if inputs and token_grid(inputs)[0] < 1:
            name, spec = max(inputs.items(), key=lambda item: item[1].sfreq)
            raise IncompatibleRunError(
                f"{cls.__name__} takes windows of at least {SPAN * FINEST_HOP:g} s, found "
                f"{spec.n_times} samples of {name} at {spec.sfreq:g} Hz. Take a longer window."
            )


class EmotionKDTeacher(EmotionKDModel):
    """EmotionKD's teacher: EEG and skin conductance, fused at two depths; trained by itself.

    The paper's full text was not at hand: this follows descriptions of the authors' code and the
    figures of their repository. Distillation is in another module; ``Output.embedding`` is the
    fusion feature of the paper. Departures, and why:

    * Deeper EEG tokens are fused as in the paper's figure; the code passes them in and does not
      use them, so that its third EEG block stays untrained. ``imf_inputs="code"`` does the same.
    * Scores are taken for each token, as in the code; the poster has a pooling over time before
      them, which is read here as a mean (``extractor_pooling="time_mean"``).
    * There may be more than two signals, of any number of channels, at any rates; see ``prefers``
      for which. Filters have the paper's length in seconds, not in samples.
    * Windows longer than 4 s have longer filters, further apart, and 61 tokens as well: see
      ``token_grid``. Slow signals and feature rows are held from one sample to the next.
    * Batch size, epochs and stopping are this project's, as none are published. The epoch is chosen
      on validation subjects by macro F1.
    * Samples are standardised with moments of the training subjects; the authors' way is unknown.
    * Electrodes are those that the dataset gives, in any order, since the filter across them
      takes all; the code's 28 are probably DEAP's without the midline.
    * BatchNorm's running moments are the means over the batches so far up to 100 of them, and then
      move with a momentum of 0.01, as published; see DebiasedBatchNorm1d. From 0 and 1 they would
      creep up for some hundred batches, and a short training would predict one class for everybody.

    As published: sizes and order of all layers, heads of width 64, normalisation after each sum,
    no activation in the classifier, three rates of dropout, initial weights, penalty on kernels.

    Args:
        inputs: Two signals or more; the paper takes 28 channels of ``"eeg"`` and one of ``"eda"``,
            4 s at 128 Hz.
        n_classes: Number of classes, K; the paper has two.
        imf_inputs: ``"figure"`` or ``"code"``; see EmotionKDTeacherNetwork.
        extractor_pooling: ``"none"`` or ``"time_mean"``; see Scored.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: An unknown choice.

    References:
        Liu, Jia and Wang, EmotionKD: A Cross-Modal Knowledge Distillation Framework for Emotion
        Recognition Based on Physiological Signals, ACM Multimedia 2023, 6122-6131,
        doi 10.1145/3581783.3612277.
    """

    network: EmotionKDTeacherNetwork
    prefers = (
        ("eeg", "eda"),
        ("eda", "bvp", "ecg", "resp", "temp", "music"),
        ("eeg_de", "eye"),
        ("eeg", "eye", "bvp", "ecg", "resp", "temp", "music"),
    )
    """Alternatives; the first one of which a dataset has two signals or more is taken.

    Without EEG, skin conductance is joined by other signals of the autonomic system, and by the
    music heard. Motion, muscles and eye potentials are left out: they show how people move.
    """
    published = TEACHER
    fast = FAST

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        imf_inputs: ImfInputs = "figure",
        extractor_pooling: ExtractorPooling = "none",
        recipe: Recipe = TEACHER,
    ) -> None:
        self.check_inputs(inputs)
        check_choice("imf_inputs", imf_inputs, ImfInputs)
        check_choice("extractor_pooling", extractor_pooling, ExtractorPooling)
        network = EmotionKDTeacherNetwork(inputs, n_classes, imf_inputs, extractor_pooling)
        super().__init__(network, n_classes, recipe)
        self.save_hyperparameters()

    @classmethod
    def choose_signals(cls, available: Collection[str]) -> tuple[str, ...]:
        """Return the signals of the first of ``prefers`` of which a dataset has two or more.

        Raises:
            IncompatibleRunError: The dataset has two signals of none of them.
        """
        for alternative in cls.prefers:
            signals = tuple(name for name in alternative if name in available)
            if len(signals) > 1:
                return signals
        preferred = ", then two or more of ".join(" + ".join(names) for names in cls.prefers)
        raise IncompatibleRunError(
            f"{cls.__name__} takes {preferred}; there is only {', '.join(available)}"
        )

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there are two signals, and a token of each."""
        super().check_inputs(inputs)
        if len(inputs) < 2:
            raise IncompatibleRunError(
                f"{cls.__name__} takes two signals or more, found {', '.join(inputs) or 'none'}: "
                "take the student, or a dataset with more"
            )


class EmotionKDStudent(EmotionKDModel):
    """EmotionKD's student: one signal that is easy to wear; trained by itself.

    It follows the authors' code, but for the departures of the teacher and for the learning rate:
    theirs is 1e-6, so that over 10 000 steps of Adam no weight moves by more than about 0.01, which
    is less than most of them start from. The default is 1e-4; the suite ``published_emotionkd`` has
    theirs.

    Args:
        inputs: One signal; the paper takes one channel of ``"eda"``, 4 s at 128 Hz.
        n_classes: Number of classes, K; the paper has two.
        extractor_pooling: ``"none"`` or ``"time_mean"``; see Scored.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: An unknown choice.

    References:
        See EmotionKDTeacher.
    """

    prefers = (("eda",), ("bvp",), ("ecg",), ("resp",), ("eye",))
    published = STUDENT
    fast = FAST

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        extractor_pooling: ExtractorPooling = "none",
        recipe: Recipe = STUDENT,
    ) -> None:
        self.check_inputs(inputs)
        check_choice("extractor_pooling", extractor_pooling, ExtractorPooling)
        network = EmotionKDStudentNetwork(inputs, n_classes, extractor_pooling)
        super().__init__(network, n_classes, recipe)
        self.save_hyperparameters()

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is one signal, and a token of it."""
        super().check_inputs(inputs)
        if len(inputs) != 1:
            raise IncompatibleRunError(
                f"{cls.__name__} takes one signal, found {', '.join(inputs) or 'none'}: name one"
            )
