"""MLSTM-FCN on peripheral signals (Karim et al. 2019), and its two relatives."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Inputs, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.choices import check_choice
from lightning_modules.layers import DebiasedBatchNorm1d
from lightning_modules.recipe import Recipe

Variant = Literal["mlstm_fcn", "lstm_fcn", "malstm_fcn"]
"""With squeeze-excite; without; with squeeze-excite and attention in the recurrent branch."""

MAX_TIMES = 640
"""Number of samples of the longest window of the network: 5 s at 128 Hz, as in the DEAP study."""

REDUCTION = 16
"""Number of channels for one unit in the middle of squeeze-excite."""

DROPOUT = 0.8
"""Share of the recurrent branch's output that is dropped in training."""

CUT = 2.0
"""Standard deviations at which a normal distribution of initial weights is cut off."""

CUT_STD = 0.8796256610342398
"""Standard deviation of a standard normal distribution cut off at ``CUT``."""

PUBLISHED = Recipe(
    source="DEAP study with MLSTM-FCN: code and training logs, runs without oversampling",
    window=5.0,
    stride=3.0,
    lr=1e-3,
    eps=1e-7,
    plateau_factor=2 ** (-1 / 3),
    plateau_patience=100,
    plateau_on="train_loss",
    lr_min=1e-4,
    batch_size=128,
    max_epochs=1000,
)

FAST = replace(
    PUBLISHED,
    source="this project's: fewer windows and epochs, smaller batches; learning rate tuned on "
    "validation subjects of Stress-Predict (tests/benchmarks/tune_fast.py), where it stays; not "
    "stopped early, as the last epoch may be the best (tests/benchmarks/longer_fast.csv)",
    stride=30.0,
    batch_size=32,
    max_epochs=10,
    tuned_on=("stress_predict",),
)


def hard_gate(value: Tensor) -> Tensor:
    """Return 0.2 x + 0.5, cut to 0 and 1; ``torch.nn.Hardsigmoid`` has another slope, 1/6."""
    return (0.2 * value + 0.5).clamp(0, 1)


class Resample(nn.Module):
    """Values of a signal at times j / rate, each from the samples around it.

    Sample k of a signal is at k / sfreq, counted from the window's start. Samples are weighted by a
    triangle around the new time, whose half width is the longer of the two sampling periods; the
    weights add up to one also at the ends. For a slower signal this is linear interpolation
    (its last sample is held), for a faster one a moving average against aliasing.

    Args:
        spec: The signal.
        sfreq: New sampling rate in Hz.
        n_times: New number of samples, T'.
    """

    index: Tensor
    weight: Tensor

    def __init__(self, spec: SignalSpec, sfreq: float, n_times: int) -> None:
        super().__init__()
        step = spec.sfreq / sfreq
        reach = max(step, 1.0)
        last = spec.n_times - 1
        position = (torch.arange(n_times, dtype=torch.float64) * step).clamp(max=last)  # (T')
        taps = torch.arange(int(2 * reach) + 1)
        index = (position - reach).ceil().long()[:, None] + taps  # (T', taps)
        weight = (1 - (index - position[:, None]).abs() / reach).clamp_min(0)
        weight = weight.where((index >= 0) & (index <= last), 0)
        weight = weight / weight.sum(dim=1, keepdim=True)
        self.register_buffer("index", index.clamp(0, last), persistent=False)
        self.register_buffer("weight", weight.float(), persistent=False)

    def forward(self, window: Tensor) -> Tensor:
        """Return samples of shape (B, C, T'), of samples of shape (B, C, T)."""
        return (window[..., self.index] * self.weight).sum(dim=-1)  # (B, C, T')


class CommonGrid(nn.Module):
    """All channels of all signals as V variables on one time grid.

    The grid is that of the signal with most samples in a window, unless it has more than
    ``MAX_TIMES``: then it has ``MAX_TIMES`` samples over the same time. Signals on another grid go
    through Resample; a signal on this grid passes unchanged. A channel of zeros stays one.

    Args:
        inputs: Any signals, in the order of the variables.

    Attributes:
        n_variables: Number of variables, V.
        n_times: Number of samples of the grid, T.
        sfreq: Sampling rate of the grid in Hz.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        finest = max(inputs.values(), key=lambda spec: spec.n_times)
        self.n_variables = sum(spec.n_channels for spec in inputs.values())
        self.n_times = min(finest.n_times, MAX_TIMES)
        self.sfreq = finest.sfreq * self.n_times / finest.n_times
        self.signals = nn.ModuleDict(
            {
                name: nn.Identity()
                if (spec.n_times, spec.sfreq) == (self.n_times, self.sfreq)
                else Resample(spec, self.sfreq, self.n_times)
                for name, spec in inputs.items()
            }
        )

    def forward(self, signals: Mapping[str, Tensor]) -> Tensor:
        """Return variables, shape (B, V, T)."""
        return torch.cat([layer(signals[name]) for name, layer in self.signals.items()], dim=1)


class MaskedLSTM(nn.Module):
    """LSTM over the variables, in which a variable of zeros leaves the state unchanged.

    Step v reads all samples of variable v at once ("dimension shuffle"). Gates are in the order
    input, forget, candidate, output, with one bias.

    Args:
        n_times: Number of features of a step, T.
        cells: Number of units, U.
        hard_sigmoid: Whether gates are ``hard_gate`` instead of the logistic function.
    """

    def __init__(self, n_times: int, cells: int, hard_sigmoid: bool = False) -> None:
        super().__init__()
        self.cells = cells
        self.hard_sigmoid = hard_sigmoid
        self.weight_ih = nn.Parameter(torch.empty(4 * cells, n_times))
        self.weight_hh = nn.Parameter(torch.empty(4 * cells, cells))
        self.bias = nn.Parameter(torch.zeros(4 * cells))
        nn.init.xavier_uniform_(self.weight_ih)
        nn.init.orthogonal_(self.weight_hh)
        nn.init.ones_(self.bias.data[cells : 2 * cells])

    def forward(self, variables: Tensor) -> Tensor:
        """Return the last state, shape (B, U), of variables of shape (B, V, T)."""
        occupied = (variables != 0).any(dim=2, keepdim=True)  # (B, V, 1)
        driven = F.linear(variables, self.weight_ih, self.bias)  # (B, V, 4 U)
        hidden = cell = variables.new_zeros(len(variables), self.cells)
        for gates, present in zip(driven.unbind(1), occupied.unbind(1), strict=True):
            gates = gates + F.linear(hidden, self.weight_hh)  # (B, 4 U)
            hidden, cell = self.advance(gates, hidden, cell, present)
        return hidden

    def advance(
        self, gates: Tensor, hidden: Tensor, cell: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the hidden state and the cell after a step.

        Args:
            gates: Input of the gates, shape (B, 4 U).
            hidden: Hidden state before the step, shape (B, U).
            cell: Cell before the step, shape (B, U).
            present: Whether the variable of the step is other than zeros, shape (B, 1).
        """
        squash = hard_gate if self.hard_sigmoid else torch.sigmoid
        i, f, g, o = gates.chunk(4, dim=1)
        moved = squash(f) * cell + squash(i) * g.tanh()
        return (squash(o) * moved.tanh()).where(present, hidden), moved.where(present, cell)


class AttentionLSTM(MaskedLSTM):
    """MaskedLSTM whose gates also read a mean of all variables, weighted anew in each step.

    The weight of variable s is the softmax over s of v . tanh(W x_s + U h + b). Here v starts at
    zero: the first mean is a plain one, and W, U and b have no gradient until v has moved.
    Variables of zeros have a share in the mean, although their steps are skipped. The forget bias
    starts at zero.

    Args:
        n_times: Number of features of a step, T.
        cells: Number of units, U.
        hard_sigmoid: Whether gates are ``hard_gate`` instead of the logistic function.
    """

    def __init__(self, n_times: int, cells: int, hard_sigmoid: bool = False) -> None:
        super().__init__(n_times, cells, hard_sigmoid)
        self.weight_mean = nn.Parameter(torch.empty(4 * cells, n_times))
        self.score_input = nn.Parameter(torch.empty(cells, n_times))
        self.score_hidden = nn.Parameter(torch.empty(cells, cells))
        self.score_bias = nn.Parameter(torch.zeros(cells))
        self.score = nn.Parameter(torch.zeros(cells))
        for weight in (self.weight_mean, self.score_input, self.score_hidden):
            nn.init.orthogonal_(weight)
        nn.init.zeros_(self.bias)

    def forward(self, variables: Tensor) -> Tensor:
        """Return the last state, shape (B, U), of variables of shape (B, V, T)."""
        occupied = (variables != 0).any(dim=2, keepdim=True)  # (B, V, 1)
        driven = F.linear(variables, self.weight_ih, self.bias)  # (B, V, 4 U)
        offered = F.linear(variables, self.weight_mean)  # (B, V, 4 U)
        keys = F.linear(variables, self.score_input, self.score_bias)  # (B, V, U)
        hidden = cell = variables.new_zeros(len(variables), self.cells)
        for gates, present in zip(driven.unbind(1), occupied.unbind(1), strict=True):
            query = F.linear(hidden, self.score_hidden)[:, None]  # (B, 1, U)
            share = ((keys + query).tanh() @ self.score).softmax(dim=1)  # (B, V)
            mean = (share[:, None] @ offered).squeeze(1)  # (B, 4 U)
            gates = gates + F.linear(hidden, self.weight_hh) + mean
            hidden, cell = self.advance(gates, hidden, cell, present)
        return hidden


class ConvBlock(nn.Module):
    """Convolution, BatchNorm, ReLU; as many samples out as in.

    Args:
        n_inputs: Number of feature maps in.
        n_outputs: Number of feature maps out.
        kernel: Number of samples; an even kernel has one zero more after the window than before.
    """

    def __init__(self, n_inputs: int, n_outputs: int, kernel: int) -> None:
        super().__init__()
        self.pad = nn.Identity() if kernel % 2 else nn.ConstantPad1d((0, 1), 0.0)
        self.conv = nn.Conv1d(n_inputs, n_outputs, kernel, padding=(kernel - 1) // 2)
        self.norm = DebiasedBatchNorm1d(n_outputs, eps=1e-3)
        nn.init.kaiming_uniform_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.get_parameter("bias"))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (B, D, T), of maps of shape (B, C, T)."""
        return torch.relu(self.norm(self.conv(self.pad(maps))))  # (B, D, T)


class SqueezeExcite(nn.Module):
    """Feature maps times one weight in (0, 1) each, computed from their means over time.

    Args:
        n_channels: Number of feature maps, D.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(n_channels, n_channels // REDUCTION, bias=False)
        self.excite = nn.Linear(n_channels // REDUCTION, n_channels, bias=False)
        for layer in (self.squeeze, self.excite):
            std = (2 / layer.in_features) ** 0.5 / CUT_STD
            nn.init.trunc_normal_(layer.weight, std=std, a=-CUT * std, b=CUT * std)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape, (B, D, T)."""
        middle = torch.relu(self.squeeze(maps.mean(dim=2)))  # (B, D/16)
        return maps * torch.sigmoid(self.excite(middle))[:, :, None]


class MLSTMFCNNetwork(nn.Module):
    """An LSTM over the variables beside three convolutions in time; one linear layer over both.

    Args:
        inputs: Any signals; the DEAP study takes four of one channel, 5 s at 128 Hz.
        n_classes: Number of classes, K.
        cells: Number of units of the LSTM, U; the paper searches 8, 64 and 128.
        hard_sigmoid: Whether gates are ``hard_gate``, as in the study's logged runs.
        variant: ``"mlstm_fcn"``, ``"lstm_fcn"`` (no squeeze-excite) or ``"malstm_fcn"``
            (AttentionLSTM).

    Raises:
        ValueError: An unknown variant, or fewer than one cell.
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        cells: int = 8,
        hard_sigmoid: bool = False,
        variant: Variant = "mlstm_fcn",
    ) -> None:
        super().__init__()
        check_choice("variant", variant, Variant)
        if cells < 1:
            raise ValueError(f"expected at least one cell, found {cells}")
        gated = variant != "lstm_fcn"
        recurrent = AttentionLSTM if variant == "malstm_fcn" else MaskedLSTM
        self.grid = CommonGrid(inputs)
        self.lstm = recurrent(self.grid.n_times, cells, hard_sigmoid)
        self.dropout = nn.Dropout(DROPOUT)
        self.convolutions = nn.Sequential(
            ConvBlock(self.grid.n_variables, 128, 8),
            SqueezeExcite(128) if gated else nn.Identity(),
            ConvBlock(128, 256, 5),
            SqueezeExcite(256) if gated else nn.Identity(),
            ConvBlock(256, 128, 3),
        )
        self.head = nn.Linear(cells + 128, n_classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        variables = self.grid(signals)  # (B, V, T)
        state = self.dropout(self.lstm(variables))  # (B, U)
        pooled = self.convolutions(variables).mean(dim=2)  # (B, 128)
        embedding = torch.cat([state, pooled], dim=1)  # (B, U + 128)
        return Output(self.head(embedding), embedding)


class MLSTMFCN(EmotionClassifier):
    """MLSTM-FCN, trained as in a study of DEAP: Adam, 1e-3, lowered when the loss stands still.

    The network is that of Karim et al., with the sizes of the study that applied it to DEAP: skin
    conductance, respiration, pulse and temperature, windows of 5 s every 3 s. Its four variables
    are the four steps of the LSTM, so their order counts; it is that of ``inputs``.

    Departures from the study, and why:

    * The gates are logistic, as in the paper's equations and in today's frameworks. The study's
      framework had a piecewise linear default; ``hard_sigmoid`` brings it back.
    * Signals need not share a rate, nor the window have 640 samples: see CommonGrid. Four signals
      at 128 Hz for 5 s pass unchanged.
    * There may be any number of channels, each of them a variable. From a single one the LSTM
      makes a single step, in which its recurrent weights are not used.
    * The fifth, derived channel (change of the beat interval) is left out: as the study computes
      it, it is not a number before a trial's second beat, and the run with it did not train.
    * Samples are standardised with moments of the training subjects; the study scales to 0 ... 1
      with extrema of all subjects, test included. A channel that never changes becomes zeros by
      this, and is then skipped by the LSTM.
    * Subjects are kept apart, and no window is drawn twice. The study splits windows at random,
      and its best figures come from duplicating windows before that.
    * The epoch is chosen on validation subjects by macro F1; the study takes the one with the
      lowest training loss, and validates on its test set.
    * BatchNorm's running moments are the means over the batches so far up to 100 of them, and then
      move with a momentum of 0.01, as in the study's framework, where the first batch replaces
      their initial values; see DebiasedBatchNorm1d.
    * In ``"malstm_fcn"`` the softmax subtracts its maximum, which cannot overflow; one weight
      whose initial value is not on record (of the state, in the attention) starts orthogonal.

    As published: no class weights (the study computes some, but they had no effect), dropout on
    the LSTM's output alone, no weight decay, the initial weights of every layer.

    Args:
        inputs: Any signals; the study takes four of one channel, 5 s at 128 Hz.
        n_classes: Number of classes, K; the study has nine, its ratings rounded.
        cells: Number of units of the LSTM; 8, 64 or 128 in the paper's search.
        hard_sigmoid: Whether gates are piecewise linear.
        variant: ``"mlstm_fcn"``; ``"lstm_fcn"``, without squeeze-excite; ``"malstm_fcn"``, with
            attention over the variables. The study's runs that are called attention are the first.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: An unknown variant, or fewer than one cell.

    References:
        Karim, Majumdar, Darabi and Harford, Multivariate LSTM-FCNs for Time Series Classification,
        Neural Networks 116 (2019) 237-245, arXiv 1801.04503.

        The study: https://github.com/athar70/MLSTM (no licence; rebuilt from its behaviour).
    """

    prefers = (("eda", "resp", "bvp", "temp"), ("ecg",), ("eeg_de",), ("eeg",))
    published = PUBLISHED
    fast = FAST

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        cells: int = 8,
        hard_sigmoid: bool = False,
        variant: Variant = "mlstm_fcn",
        recipe: Recipe = PUBLISHED,
    ) -> None:
        self.check_inputs(inputs)
        network = MLSTMFCNNetwork(inputs, n_classes, cells, hard_sigmoid, variant)
        super().__init__(network, n_classes, recipe)
        self.save_hyperparameters()

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is a signal, with a channel and a sample."""
        super().check_inputs(inputs)
        if not inputs:
            raise IncompatibleRunError(f"{cls.__name__} takes one signal or more, found none")
        for name, spec in inputs.items():
            if spec.n_channels < 1 or spec.n_times < 1:
                raise IncompatibleRunError(
                    f"{cls.__name__} takes at least one channel and one sample of each signal, "
                    f"found {spec.n_channels} and {spec.n_times} of {name}. Take a longer window."
                )
