"""EmotionKD against the published layer tables, plain loops and closed forms."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.batch import Batch, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.emotionkd import (
    FAST,
    STUDENT,
    TEACHER,
    EmotionKDStudent,
    EmotionKDTeacher,
    Fusion,
    Head,
    Scored,
    SelfAttention,
    TransformerBlock,
    kernel_penalty,
    token_grid,
)
from lightning_modules.layers import DebiasedBatchNorm1d, DebiasedBatchNorm2d

Inputs = dict[str, SignalSpec]
EEG = SignalSpec(28, 512, 128.0)
EDA = SignalSpec(1, 512, 128.0)
PAPER: Inputs = {"eeg": EEG, "eda": EDA}
SMALL: Inputs = {"eeg": SignalSpec(3, 32, 32.0), "eda": SignalSpec(1, 32, 32.0)}
"""1 s: 13 tokens of 8 samples, a stride of 2."""

OTHERS: dict[str, Inputs] = {
    "wrist": {
        "bvp": SignalSpec(1, 3840, 64.0),
        "eda": SignalSpec(1, 240, 4.0),
        "temp": SignalSpec(1, 240, 4.0),
    },
    "wrist, 4 s": {"bvp": SignalSpec(1, 256, 64.0), "eda": SignalSpec(1, 16, 4.0)},
    "chest": {"ecg": SignalSpec(1, 2800, 700.0), "resp": SignalSpec(1, 2800, 700.0)},
    "chest, 60 s": {"ecg": SignalSpec(1, 42000, 700.0), "resp": SignalSpec(1, 42000, 700.0)},
    "ten rows": {"eeg_de": SignalSpec(310, 10, 0.25), "eye": SignalSpec(33, 10, 0.25)},
    "one row": {"eeg_de": SignalSpec(310, 1, 0.25), "eye": SignalSpec(33, 1, 0.25)},
    "music": {"eda": SignalSpec(1, 200, 50.0), "music": SignalSpec(63, 1, 0.25)},
}


def student_inputs(inputs: Mapping[str, SignalSpec]) -> Inputs:
    (name,) = EmotionKDStudent.choose_signals(inputs)
    return {name: inputs[name]}


def draw(inputs: Mapping[str, SignalSpec], n_windows: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_windows, spec.n_channels, spec.n_times, generator=generator)
        for name, spec in inputs.items()
    }


def make_batch(signals: dict[str, Tensor], target: Tensor) -> Batch:
    return Batch(signals, target, torch.zeros_like(target), target)


def trainable(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def total(module: nn.Module) -> int:
    """Running statistics counted, as the authors' framework does."""
    running = (buffer for name, buffer in module.named_buffers() if "running" in name)
    return trainable(module) + sum(buffer.numel() for buffer in running)


# Sizes, as in the published tables


def test_parameters_of_the_teacher_are_the_published_ones() -> None:
    model = EmotionKDTeacher(PAPER, 2)
    assert total(model) == 2_047_490
    assert trainable(model) == 2_046_210
    expected = {
        "branches.eeg.head.filters": 2_112,
        "branches.eeg.head.norm": 256,
        "branches.eeg.head.mix": 114_752,
        "branches.eeg.head": 117_120,
        "branches.eda.head.filters": 2_112,
        "branches.eda.head.norm": 256,
        "branches.eda.head.mix": 4_160,
        "branches.eda.head": 6_528,
        "branches.eda.blocks.0.attention": 132_672,
        "branches.eda.blocks.0.dense": 8_320,
        "branches.eda.blocks.0.first_norm": 128,
        "branches.eda.blocks.0.second_norm": 128,
        "branches.eeg.blocks.0": 141_248,
        "branches.eeg.blocks.1": 141_248,
        "branches.eeg.blocks.2": 141_248,
        "branches.eda.blocks": 3 * 141_248,
        "fusions.0.shallow": 8_832,
        "fusions.0": 17_664,
        "fusions.1": 17_664,
        "classifier": 1_032_834,
    }
    found = {name: total(model.network.get_submodule(name)) for name in expected}
    assert found == expected
    assert model.network.get_parameter("branches.eeg.positions").shape == (64, 64)
    assert model.network.get_parameter("branches.eda.positions").numel() == 4_096


def test_parameters_of_the_student_are_the_published_ones() -> None:
    model = EmotionKDStudent({"eda": EDA}, 2)
    assert total(model) == 993_986
    assert trainable(model) == 993_090
    expected = {
        "branch.head": 6_528,
        "branch": 6_528 + 427_840,
        "scores.0": 8_832,
        "scores": 26_496,
        "classifier": 533_122,
    }
    found = {name: total(model.network.get_submodule(name)) for name in expected}
    assert found == expected


@pytest.mark.parametrize("pooling", ["none", "time_mean"])
def test_flags_change_no_size(pooling: Any) -> None:
    with torch.device("meta"):
        assert total(EmotionKDTeacher(PAPER, 2, "code", pooling)) == 2_047_490
        assert total(EmotionKDStudent({"eda": EDA}, 2, pooling)) == 993_986


def shapes_of(model: nn.Module, signals: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            shapes[name] = tuple(output.shape[1:])

    for name, module in model.named_modules():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
    model(signals)
    return shapes


def test_shapes_of_the_teacher_are_the_published_ones() -> None:
    model = EmotionKDTeacher(PAPER, 2).eval()
    shapes = shapes_of(model.network, draw(PAPER, 2))
    expected = {
        "branches.eeg.head.filters": (64, 28, 61),
        "branches.eeg.head.norm": (64, 28, 61),
        "branches.eeg.head.mix": (64, 1, 61),
        "branches.eeg.head": (61, 64),
        "branches.eda.head.filters": (64, 1, 61),
        "branches.eda.head.mix": (64, 1, 61),
        "branches.eda.head": (61, 64),
        "branches.eeg.blocks.0": (61, 64),
        "branches.eeg.blocks.2": (61, 64),
        "branches.eda.blocks.0.attention.qkv": (61, 3 * 512),
        "branches.eda.blocks.0.attention": (61, 64),
        "branches.eda.blocks.0.dense": (61, 64),
        "branches.eda.blocks.2": (61, 64),
        "fusions.0": (122, 64),
        "fusions.1": (122, 64),
        "classifier.1": (128,),
        "classifier.2": (128,),
        "classifier.3": (128,),
        "classifier": (2,),
    }
    assert {name: shapes[name] for name in expected} == expected
    output = model(draw(PAPER, 2))
    assert output.logits.shape == (2, 2)
    assert output.embedding.shape == (2, 7_808)


def test_shapes_of_the_student_are_the_published_ones() -> None:
    inputs = {"eda": EDA}
    model = EmotionKDStudent(inputs, 2).eval()
    shapes = shapes_of(model.network, draw(inputs, 2))
    names = ("branch.head", "branch.blocks.0", "branch.blocks.1", "branch.blocks.2")
    assert all(shapes[name] == (61, 64) for name in names)
    assert all(shapes[f"scores.{depth}"] == (61, 64) for depth in range(3))
    output = model(draw(inputs, 2))
    assert output.logits.shape == (2, 2)
    assert output.embedding.shape == (2, 3_904)


def test_rates_of_dropout_and_constants_of_norms_are_the_published_ones() -> None:
    network = EmotionKDTeacher(PAPER, 2).network
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout):
            rates = {"head": 0.3, "blocks": 0.1, "classifier": 0.5}
            assert [module.p] == [rate for part, rate in rates.items() if part in name]
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.eps == 1e-3
            assert isinstance(module, DebiasedBatchNorm1d | DebiasedBatchNorm2d)
        elif isinstance(module, nn.LayerNorm):
            assert module.eps == 1e-6
    kinds = [type(layer).__name__ for layer in network.get_submodule("classifier").children()]
    assert kinds == ["Dropout", "Linear", "Linear", "Linear", "Linear"]


# Layers, against independent evaluations


@pytest.mark.parametrize(
    ("sfreq", "n_times", "n_tokens", "hop"),
    [
        (128.0, 512, 61, 1 / 16),
        (256.0, 1024, 61, 1 / 16),
        (125.0, 500, 61, 1 / 16),
        (4.0, 16, 61, 1 / 16),
        (700.0, 2800, 61, 1 / 16),
        (128.0, 32, 1, 1 / 16),
        (128.0, 31, 0, 1 / 16),
        (128.0, 256, 29, 1 / 16),
        (128.0, 640, 61, 5 / 64),
        (64.0, 3840, 61, 60 / 64),
        (4.0, 240, 61, 60 / 64),
        (50.0, 1450, 61, 29 / 64),
        (0.25, 10, 61, 40 / 64),
        (0.25, 1, 61, 1 / 16),
    ],
)
def test_tokens_follow_from_seconds(sfreq: float, n_times: int, n_tokens: int, hop: float) -> None:
    found, seconds = token_grid(
        {"slow": SignalSpec(1, 1, 0.001), "fast": SignalSpec(1, n_times, sfreq)}
    )
    assert found == n_tokens
    assert seconds == pytest.approx(hop)


@pytest.mark.parametrize(
    ("sfreq", "n_times", "length", "stride"),
    [(128.0, 512, 32, 8), (256.0, 1024, 64, 16), (64.0, 3840, 240, 60), (16.0, 64, 4, 1)],
)
def test_head_is_a_strided_convolution_where_hops_are_whole_samples(
    sfreq: float, n_times: int, length: int, stride: int
) -> None:
    torch.manual_seed(0)
    spec = SignalSpec(3, n_times, sfreq)
    head = Head(spec, *token_grid({"eeg": spec})).eval()
    head.norm.running_mean = torch.randn(64)
    window = torch.randn(2, 3, n_times)
    assert head.filters.weight.shape == (64, 1, 1, length)
    maps = F.conv2d(window[:, None], head.filters.weight, head.filters.bias, stride=(1, stride))
    assert maps.shape == (2, 64, 3, 61)
    maps = head.mix(head.norm(maps).relu())[:, :, 0]
    torch.testing.assert_close(head(window), maps.transpose(1, 2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        (SignalSpec(1, 16, 4.0), 4),
        (SignalSpec(1, 240, 4.0), 60),
        (SignalSpec(1, 2800, 700.0), 4),
        (SignalSpec(1, 500, 125.0), 4),
        (SignalSpec(1, 10, 0.25), 40),
        (SignalSpec(1, 1, 0.25), 4),
        (SignalSpec(1, 1, 1 / 60), 60),
    ],
)
def test_tokens_of_any_rate_read_the_samples_of_their_time(spec: SignalSpec, seconds: int) -> None:
    head = Head(spec, 61, seconds / 64)
    samples = head.samples.view(61 if spec.n_times > 1 else 1, -1).expand(61, -1)
    length = samples.shape[1]
    assert length == max(1, round(seconds / 16 * spec.sfreq))
    assert samples.min() == 0
    assert samples.max() <= spec.n_times - 1
    assert samples.max() >= min(spec.n_times - 1, (spec.n_times * 60) // 64)
    for token in range(61):
        first = math.floor(token * seconds * spec.sfreq / 64 + 1e-9)
        first = min(first, spec.n_times - length)
        assert samples[token].tolist() == list(range(first, first + length))


def test_attention_against_a_plain_loop() -> None:
    torch.manual_seed(0)
    attention = SelfAttention().double()
    nn.init.normal_(attention.qkv.bias)
    nn.init.normal_(attention.out.bias)
    tokens = 3 * torch.randn(2, 5, 64, dtype=torch.float64)
    weights = attention.qkv.weight.view(3, 8, 64, 64)
    biases = attention.qkv.bias.view(3, 8, 64)
    expected = torch.zeros_like(tokens)
    for b in range(2):
        for i in range(5):
            heads = []
            for head in range(8):
                query, key, value = (
                    [weights[kind, head] @ x + biases[kind, head] for x in tokens[b]]
                    for kind in range(3)
                )
                levels = torch.stack([query[i] @ key[j] / 8 for j in range(5)]).exp()
                heads.append(sum(w * v for w, v in zip(levels / levels.sum(), value, strict=True)))
            joined = torch.cat(heads)
            expected[b, i] = attention.out.weight @ joined + attention.out.bias
    torch.testing.assert_close(attention(tokens), expected, atol=1e-10, rtol=1e-10)


def test_norms_of_a_block_come_after_the_sums() -> None:
    torch.manual_seed(0)
    block = TransformerBlock().double().eval()
    tokens = torch.randn(2, 4, 64, dtype=torch.float64)

    def norm(x: Tensor) -> Tensor:
        centred = x - x.mean(dim=2, keepdim=True)
        return centred / (centred.square().mean(dim=2, keepdim=True) + 1e-6).sqrt()

    first, last = block.dense[0], block.dense[2]
    a = norm(tokens + block.attention(tokens))
    inner = (a @ first.weight.T + first.bias).clamp(min=0)  # type: ignore[operator]
    expected = norm(a + inner @ last.weight.T + last.bias)  # type: ignore[operator]
    torch.testing.assert_close(block(tokens), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("pooling", ["none", "time_mean"])
@pytest.mark.parametrize("training", [True, False])
def test_scores_have_a_closed_form(pooling: Any, training: bool) -> None:
    torch.manual_seed(0)
    scored = Scored(pooling).double().train(training)
    tokens = torch.randn(3, 5, 64, dtype=torch.float64)
    read = tokens.mean(dim=1, keepdim=True) if pooling == "time_mean" else tokens
    first, last = scored.layers[0], scored.layers[3]

    def norm(x: Tensor) -> Tensor:
        mean = x.mean(dim=(0, 1)) if training else torch.zeros(64, dtype=torch.float64)
        variance = x.var(dim=(0, 1), correction=0) if training else torch.ones_like(mean)
        return (x - mean) / (variance + 1e-3).sqrt()

    inner = norm(read @ first.weight.T + first.bias).clamp(min=0)  # type: ignore[operator]
    v = norm(inner @ last.weight.T + last.bias)  # type: ignore[operator]
    expected = v / (1 + v.abs()) * tokens
    found = scored(tokens)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    assert (found / tokens).abs().max() < 1
    assert (found / tokens).min() < 0  # a score may be negative


# Wiring


def test_a_fusion_adds_shallow_and_deep() -> None:
    torch.manual_seed(0)
    fusion = Fusion("none").eval()
    shallow, deep = torch.randn(2, 7, 64), torch.randn(2, 7, 64)
    expected = fusion.shallow(shallow) + fusion.deep(deep)
    assert torch.equal(fusion(shallow, deep), expected)
    assert not torch.equal(fusion(deep, shallow), expected)


@pytest.mark.parametrize("imf_inputs", ["figure", "code"])
def test_embedding_of_the_teacher_is_built_from_both_depths(imf_inputs: Any) -> None:
    torch.manual_seed(0)
    network = EmotionKDTeacher(SMALL, 2, imf_inputs).eval().network
    signals = draw(SMALL, 2)
    e = network.get_submodule("branches.eeg")(signals["eeg"])
    g = network.get_submodule("branches.eda")(signals["eda"])
    expected = torch.zeros(2, 26, 64)
    for depth in range(2):
        fusion = network.get_submodule(f"fusions.{depth}")
        deep_eeg = e[depth + 1] if imf_inputs == "figure" else e[depth]
        shallow = torch.cat([e[depth], g[depth]], dim=1)
        expected += fusion(shallow, torch.cat([deep_eeg, g[depth + 1]], dim=1))
    output = network(signals)
    torch.testing.assert_close(output.embedding, expected.flatten(1))
    assert torch.equal(output.logits, network.get_submodule("classifier")(output.embedding))


def test_embedding_of_the_student_is_the_sum_of_scored_depths() -> None:
    torch.manual_seed(0)
    inputs = student_inputs(SMALL)
    network = EmotionKDStudent(inputs, 2).eval().network
    signals = draw(inputs, 2)
    depths = network.get_submodule("branch")(signals["eda"])
    expected = torch.zeros(2, 13, 64)
    for depth in range(3):
        expected += network.get_submodule(f"scores.{depth}")(depths[depth])
    torch.testing.assert_close(network(signals).embedding, expected.flatten(1))


def test_deepest_eeg_block_learns_under_figure_and_not_under_code() -> None:
    for imf_inputs in ("figure", "code"):
        torch.manual_seed(0)
        model = EmotionKDTeacher(SMALL, 2, imf_inputs)
        F.cross_entropy(model(draw(SMALL, 4)).logits, torch.arange(4) % 2).backward()
        for signal in SMALL:
            for depth in range(3):
                block = model.network.get_submodule(f"branches.{signal}.blocks.{depth}")
                learns = [p.grad is not None and bool(p.grad.any()) for p in block.parameters()]
                idle = imf_inputs == "code" and signal == "eeg" and depth == 2
                assert any(learns) != idle
                assert idle or all(learns)


def test_other_signals_and_the_order_of_a_batch_do_not_matter() -> None:
    torch.manual_seed(0)
    model = EmotionKDTeacher(SMALL, 2).eval()
    signals = draw(SMALL, 2)
    more = {"temp": torch.zeros(2, 1, 1), "eda": signals["eda"], "eeg": signals["eeg"]}
    assert torch.equal(model(more).logits, model(signals).logits)


# Loss and initial weights


@pytest.mark.parametrize("kind", [EmotionKDTeacher, EmotionKDStudent])
def test_loss_is_cross_entropy_and_a_penalty_on_the_kernels(kind: Any) -> None:
    torch.manual_seed(0)
    inputs = SMALL if kind is EmotionKDTeacher else student_inputs(SMALL)
    model = kind(inputs, 2).eval()
    batch = make_batch(draw(inputs, 4), torch.arange(4) % 2)
    squares = [
        float(parameter.detach().double().square().sum())
        for name, parameter in model.named_parameters()
        if "head" in name and parameter.dim() == 4
    ]
    assert len(squares) == 2 * len(inputs)
    with torch.no_grad():
        evaluated, _ = model.loss(batch)
        model.training = True  # of the model alone: dropout inside stays off
        loss, logits = model.loss(batch)
    assert float(loss - evaluated) == pytest.approx(0.001 * sum(squares), rel=1e-4)
    probability = logits.softmax(dim=1)[torch.arange(4), batch.target]
    penalty = 0.001 * sum(squares)
    assert float(loss) == pytest.approx(float(-probability.log().mean()) + penalty, rel=1e-5)
    found = kernel_penalty(model.network)
    assert float(found.detach()) == pytest.approx(penalty, rel=1e-5)
    found.backward()
    weight = next(p for name, p in model.named_parameters() if "filters.weight" in name)
    torch.testing.assert_close(weight.grad, 0.002 * weight)


def test_a_static_vector_gives_every_token_the_same_and_is_computed_once() -> None:
    torch.manual_seed(0)
    head = Head(SignalSpec(5, 1, 1 / 3600), 61, 0.0625).eval()
    held = Head(SignalSpec(5, 61, 16.0), 61, 0.0625).eval()  # its tokens overlap: another length
    assert len(head.samples) == 1
    assert len(held.samples) > 61
    window = torch.randn(3, 5, 1)
    tokens = head(window)
    assert tokens.shape == (3, 61, 64)
    assert torch.equal(tokens, tokens[:, :1].expand(-1, 61, -1))
    head.train()
    dropped = head(window)
    assert not torch.equal(dropped, dropped[:, :1].expand(-1, 61, -1))


def test_initial_weights_fill_their_bounds() -> None:
    torch.manual_seed(0)
    network = EmotionKDTeacher(PAPER, 2).network
    expected = {
        "branches.eeg.positions": 0.05,
        "branches.eda.blocks.2.attention.qkv.weight": 0.0361,
        "branches.eeg.blocks.0.attention.qkv.weight": 0.0361,
        "branches.eeg.blocks.0.attention.out.weight": 0.0765,
        "branches.eeg.blocks.0.dense.0.weight": math.sqrt(6 / 128),
        "branches.eeg.head.filters.weight": math.sqrt(6 / (32 + 32 * 64)),
        "branches.eeg.head.mix.weight": math.sqrt(6 / (28 * 64 + 28 * 64)),
        "branches.eda.head.mix.weight": math.sqrt(6 / (64 + 64)),
        "fusions.1.deep.layers.3.weight": math.sqrt(6 / 128),
        "classifier.1.weight": math.sqrt(6 / (7808 + 128)),
        "classifier.4.weight": math.sqrt(6 / (128 + 2)),
    }
    for name, bound in expected.items():
        weight = network.get_parameter(name).detach()
        assert float(weight.abs().max()) == pytest.approx(bound, rel=0.02), name
        assert float(weight.abs().max()) <= bound * 1.001, name
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1), name
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name


# What a model of this benchmark has to do


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("kind", [EmotionKDTeacher, EmotionKDStudent])
def test_other_inputs_train_every_parameter(case: str, kind: Any) -> None:
    torch.manual_seed(0)
    inputs = OTHERS[case] if kind is EmotionKDTeacher else student_inputs(OTHERS[case])
    model = kind(inputs, 5)
    signals = draw(inputs, 3)
    output = model(signals)
    assert output.logits.shape == (3, 5)
    assert output.embedding.shape == (3, len(inputs) * 3_904)
    F.cross_entropy(output.logits, torch.arange(3)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or parameter.dim() == 1, name  # BatchNorm cancels biases
    model.eval()
    together = model(signals).logits
    alone = model({name: window[:1] for name, window in signals.items()}).logits
    torch.testing.assert_close(alone, together[:1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [EmotionKDTeacher, EmotionKDStudent])
@pytest.mark.parametrize("pooling", ["none", "time_mean"])
def test_a_constant_signal_gives_numbers(kind: Any, pooling: Any) -> None:
    torch.manual_seed(0)
    inputs = SMALL if kind is EmotionKDTeacher else student_inputs(SMALL)
    model = kind(inputs, 2, extractor_pooling=pooling)
    for level in (0.0, 5.0):
        signals = {name: torch.full_like(x, level) for name, x in draw(inputs, 3).items()}
        loss, logits = model.train().loss(make_batch(signals, torch.tensor([0, 1, 1])))
        loss.backward()
        assert logits.isfinite().all()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        assert model.eval()(signals).logits.isfinite().all()


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["eda", "ecg", "eeg"], ("eeg", "eda")),
        (["eeg", "eog", "emg", "eda", "resp", "bvp", "temp"], ("eeg", "eda")),
        (["bvp", "eda", "temp", "acc"], ("eda", "bvp", "temp")),
        (["ecg", "emg", "chest_acc", "chest_eda", "resp"], ("ecg", "resp")),
        (["eda", "music"], ("eda", "music")),
        (["eeg_de", "eye", "eeg"], ("eeg_de", "eye")),
        (["eye", "eeg"], ("eeg", "eye")),
        (["eeg", "ecg", "acc"], ("eeg", "ecg")),
    ],
)
def test_signals_of_the_teacher(available: list[str], expected: tuple[str, ...]) -> None:
    assert EmotionKDTeacher.choose_signals(available) == expected


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["eeg", "ecg", "bvp", "eda"], "eda"),
        (["resp", "ecg", "bvp"], "bvp"),
        (["resp", "ecg"], "ecg"),
        (["eye", "resp"], "resp"),
        (["eeg_de", "eye"], "eye"),
    ],
)
def test_signal_of_the_student(available: list[str], expected: str) -> None:
    assert EmotionKDStudent.choose_signals(available) == (expected,)


@pytest.mark.parametrize("available", [["eda"], ["eda", "acc"], ["eeg", "eeg_de"], []])
def test_one_signal_is_no_teacher(available: list[str]) -> None:
    with pytest.raises(IncompatibleRunError, match=r"EmotionKDTeacher takes eeg \+ eda, then two"):
        EmotionKDTeacher.choose_signals(available)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        (EmotionKDTeacher, {}, "two signals or more, found none"),
        (EmotionKDTeacher, {"eda": EDA}, "two signals or more, found eda"),
        (EmotionKDStudent, {}, "one signal, found none"),
        (EmotionKDStudent, PAPER, "one signal, found eeg, eda"),
        (
            EmotionKDStudent,
            {"eda": SignalSpec(1, 31, 128.0)},
            r"at least 0\.25 s, found 31 samples of eda at 128 Hz",
        ),
        (
            EmotionKDTeacher,
            {"eda": SignalSpec(1, 1, 4.0), "bvp": SignalSpec(1, 15, 64.0)},
            r"at least 0\.25 s, found 15 samples of bvp at 64 Hz",
        ),
        (EmotionKDStudent, {"eda": SignalSpec(0, 64, 4.0)}, "found 0 and 64 of eda"),
        (EmotionKDStudent, {"eda": SignalSpec(1, 0, 4.0)}, "found 1 and 0 of eda"),
    ],
)
def test_what_cannot_work_says_why(kind: Any, inputs: Inputs, message: str) -> None:
    with pytest.raises(IncompatibleRunError, match=message):
        kind.check_inputs(inputs)
    with pytest.raises(IncompatibleRunError, match=message):
        kind(inputs, 2)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected imf_inputs among .* found 'poster'"):
        EmotionKDTeacher(SMALL, 2, "poster")  # type: ignore[arg-type]
    pooling: Any = "max"
    for kind, inputs in ((EmotionKDTeacher, SMALL), (EmotionKDStudent, student_inputs(SMALL))):
        with pytest.raises(ValueError, match=r"expected extractor_pooling among .* found 'max'"):
            kind(inputs, 2, extractor_pooling=pooling)


def test_shortest_windows_work() -> None:
    for inputs in (
        {"eda": SignalSpec(1, 1, 4.0)},
        {"eda": SignalSpec(1, 32, 128.0)},
        {"eda": SignalSpec(1, 175, 700.0)},
    ):
        output = EmotionKDStudent(inputs, 2)(draw(inputs, 3))
        assert output.embedding.shape == (3, 64)


def test_recipes() -> None:
    assert EmotionKDTeacher.published is TEACHER
    assert EmotionKDStudent.published is STUDENT
    assert (TEACHER.lr, STUDENT.lr) == (5e-5, 1e-4)
    for recipe in (TEACHER, STUDENT):
        assert (recipe.optimizer, recipe.eps, recipe.weight_decay) == ("adam", 1e-7, 0)
        assert (recipe.window, recipe.stride, recipe.scaling) == (4.0, 4.0, "standard")
        assert (recipe.batch_size, recipe.max_epochs, recipe.patience) == (64, 100, 20)
    assert EmotionKDTeacher.fast is EmotionKDStudent.fast is FAST
    assert FAST.max_epochs < TEACHER.max_epochs
    assert FAST.patience is None  # the best epoch may be the last


@pytest.mark.parametrize("kind", [EmotionKDTeacher, EmotionKDStudent])
def test_a_checkpoint_loads_without_trusting_the_file(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = SMALL if kind is EmotionKDTeacher else student_inputs(SMALL)
    flags = {"extractor_pooling": "time_mean"}
    if kind is EmotionKDTeacher:
        flags["imf_inputs"] = "code"
    model = kind(inputs, 3, recipe=FAST, **flags)
    signals = draw(inputs, 3)
    model(signals)  # running statistics
    model.eval()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(model)
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    stored = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]
    assert stored == {"inputs": inputs, "n_classes": 3, "recipe": FAST, **flags}
    again = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    assert torch.equal(again(signals).logits, model(signals).logits)


@pytest.mark.parametrize("kind", [EmotionKDTeacher, EmotionKDStudent])
def test_noise_is_learned_by_heart(by_heart: Callable[[Any], None], kind: Any) -> None:
    by_heart(kind)
