import time

import numpy as np
import pytest
from scipy.signal import find_peaks
from scipy.stats import ks_2samp
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from datamodules.synthesis.physiology import (
    CHEST_RATES,
    E4_RATES,
    HEART_RISE,
    RESPONSE_RISE,
    Person,
    Phase,
    Session,
    draw_person,
    session,
)

ALL_RATES = {**E4_RATES, **CHEST_RATES}
REST_THEN_STRESS = (Phase("rest", 120.0, 0.0), Phase("stress", 120.0, 1.0))
STEADY = Person(
    heart_rate=66.0,
    arrhythmia=0.2,
    breathing=0.25,
    pulse=40.0,
    conductance=2.0,
    response=0.1,
    response_rate=5.0,
    temperature=33.0,
    reactivity=1.0,
)


def make(seed: int, phases=REST_THEN_STRESS, effect=1.0, rates=E4_RATES, person=None) -> Session:
    return session(np.random.default_rng(seed), phases, effect, rates, person)


def test_shapes_rates_and_units() -> None:
    made = make(0, (Phase("rest", 30.5, 0.0), Phase("", 10.0, 0.2)), rates=ALL_RATES)
    for name, rate in ALL_RATES.items():
        signal = made.signals[name]
        n_channels = 3 if name.endswith("acc") else 1
        assert signal.samples.shape == (n_channels, round(40.5 * rate))
        assert signal.samples.dtype == np.float32
        assert signal.sfreq == rate
        assert np.isfinite(signal.samples).all()
        assert signal.samples.std() > 0
    assert list(made.signals) == list(ALL_RATES)
    assert [made.signals[name].unit for name in E4_RATES] == ["a.u.", "uS", "degC", "g"]


def test_values_are_of_a_living_person() -> None:
    made = [make(seed, rates=ALL_RATES) for seed in range(6)]
    for one in made:
        bvp, eda = one.signals["bvp"].samples, one.signals["eda"].samples
        assert (np.abs(bvp) < 150).mean() > 0.98
        assert abs(np.median(bvp)) < 30
        assert eda.min() > 0.0
        assert eda.max() < 30
        assert 28 < one.signals["temp"].samples.mean() < 38
        gravity = np.linalg.norm(one.signals["acc"].samples, axis=0)
        assert np.median(gravity) == pytest.approx(1.0, abs=0.05)
        assert 0.5 < one.signals["ecg"].samples.max() < 2
        assert 0 < one.signals["emg"].samples.std() < 0.1
        intervals = np.diff(one.beats)
        assert intervals.min() > 0.3
        assert intervals.max() < 1.5
    levels = [np.median(one.signals["eda"].samples) for one in made]
    assert max(levels) / min(levels) > 1.5


@pytest.mark.parametrize("arousal", [0.0, 0.5, 1.0])
def test_spectrum_of_the_pulse_peaks_at_the_planted_rate(arousal: float) -> None:
    made = make(1, (Phase("", 180.0, arousal),), person=STEADY)
    bvp = made.signals["bvp"].samples[0]
    power = np.abs(np.fft.rfft(bvp * np.hanning(len(bvp)), 4 * len(bvp))) ** 2
    frequencies = np.fft.rfftfreq(4 * len(bvp), 1 / 64)
    band = (frequencies > 0.7) & (frequencies < 3)
    found = 60 * np.average(
        frequencies[band],
        weights=power[band]
        * (np.abs(frequencies - frequencies[band][power[band].argmax()]) < 0.2)[band],
    )
    beats = 60 * (len(made.beats) - 1) / (made.beats[-1] - made.beats[0])
    assert found == pytest.approx(beats, abs=1.0)
    assert beats == pytest.approx(66.0 + HEART_RISE * arousal, abs=7.0)


def test_every_beat_is_an_r_peak() -> None:
    made = make(2, rates={"ecg": 700.0})
    ecg = made.signals["ecg"].samples[0]
    peaks = find_peaks(ecg, height=0.6, distance=200)[0] / 700.0
    inside = made.beats[(made.beats > 0.1) & (made.beats < 239.9)]
    nearest = np.abs(inside[:, None] - peaks).min(axis=1)
    assert nearest.max() < 0.006
    assert abs(len(peaks) - len(made.beats)) <= 2


def test_breathing_shows_in_the_heart_rate() -> None:
    made = make(3, (Phase("", 300.0, 0.0),), rates={"resp": 8.0})
    beats = np.interp(np.arange(0, 295, 0.125), made.beats[1:], 60 / np.diff(made.beats))
    resp = made.signals["resp"].samples[0][: len(beats)]
    spectra = np.abs(np.fft.rfft(np.stack([beats, resp]) - np.mean([beats, resp], 1)[:, None]))
    frequencies = np.fft.rfftfreq(len(beats), 0.125)
    breath = (frequencies > 0.15) & (frequencies < 0.4)
    coherence = np.corrcoef(spectra[:, breath])[0, 1]
    assert coherence > 0.7


def test_what_arousal_does() -> None:
    made = [
        make(seed, (Phase("rest", 300.0, 0.0), Phase("stress", 300.0, 1.0))) for seed in range(20)
    ]

    def change(measure) -> float:
        return float(np.mean([measure(one, 360, 600) - measure(one, 0, 300) for one in made]))

    def heart_rate(one: Session, start: float, stop: float) -> float:
        return 60 * ((one.beats >= start) & (one.beats < stop)).sum() / (stop - start)

    def variability(one: Session, start: float, stop: float) -> float:
        inside = one.beats[(one.beats >= start) & (one.beats < stop)]
        return float(np.sqrt(np.mean(np.diff(inside, 2) ** 2)))

    def responses(one: Session, start: float, stop: float) -> float:
        inside = (one.responses >= start) & (one.responses < stop)
        return 60 * inside.sum() / (stop - start) / one.person.response_rate

    def mean(name: str):
        return lambda one, start, stop: (
            one.signals[name]
            .samples[
                0, round(start * one.signals[name].sfreq) : round(stop * one.signals[name].sfreq)
            ]
            .mean()
        )

    assert change(heart_rate) == pytest.approx(HEART_RISE, rel=0.25)
    assert change(variability) < -0.005
    assert change(responses) == pytest.approx(RESPONSE_RISE, rel=0.25)
    assert change(mean("eda")) > 0.3
    assert change(mean("temp")) < -0.4


def test_without_effect_levels_change_nothing_at_all() -> None:
    swapped = tuple(Phase(p.condition, p.seconds, 1 - p.arousal) for p in REST_THEN_STRESS)
    one, other = (make(5, phases, 0.0, ALL_RATES) for phases in (REST_THEN_STRESS, swapped))
    for name in ALL_RATES:
        np.testing.assert_array_equal(one.signals[name].samples, other.signals[name].samples)
    np.testing.assert_array_equal(one.beats, other.beats)


def test_with_effect_levels_change_all_but_motion() -> None:
    swapped = tuple(Phase(p.condition, p.seconds, 1 - p.arousal) for p in REST_THEN_STRESS)
    one, other = (make(5, phases, 1.0, ALL_RATES) for phases in (REST_THEN_STRESS, swapped))
    for name in ALL_RATES:
        same = np.array_equal(one.signals[name].samples, other.signals[name].samples)
        assert same == name.endswith("acc")


def test_without_effect_time_says_nothing() -> None:
    rates = {"bvp": 16.0, "eda": 4.0, "temp": 4.0, "acc": 8.0}
    people = [make(seed, (Phase("", 600.0, 1.0),), 0.0, rates) for seed in range(250)]
    for name in rates:
        for measure in (np.mean, np.std):
            first, last = (
                [measure(np.split(one.signals[name].samples[0], 10)[part]) for one in people]
                for part in (0, -1)
            )
            assert ks_2samp(first, last).pvalue > 0.01
    counts = [[((o.beats // 60) == minute).sum() for o in people] for minute in (0, 9)]
    assert ks_2samp(*counts).pvalue > 0.01


def features(one: Session) -> list[list[float]]:
    rows = []
    for minute in range(int(one.segments[-1].stop // 60)):
        bvp, eda, temp = (
            one.signals[name].samples[
                0, round(60 * minute * rate) : round(60 * (minute + 1) * rate)
            ]
            for name, rate in (("bvp", 64), ("eda", 4), ("temp", 4))
        )
        power = np.abs(np.fft.rfft(bvp))[42:180]
        rows.append(
            [
                42 + power.argmax(),
                power.max() / power.sum(),
                bvp.std(),
                np.log(eda.mean()),
                np.log(np.abs(np.diff(eda)).mean() / eda.mean()),
                temp.mean(),
                temp[-40:].mean() - temp[:40].mean(),
            ]
        )
    return rows


def score(effect: float) -> float:
    rows, targets, groups = [], [], []
    for person in range(16):
        levels = (0.0, 1.0, 0.3) if person % 2 else (0.0, 0.3, 1.0)
        one = make(100 + person, [Phase(str(level), 300.0, level) for level in levels], effect)
        rows += features(one)
        targets += [int(level == 1.0) for level in levels for _ in range(5)]
        groups += [person] * 15
    predicted = cross_val_predict(
        LinearDiscriminantAnalysis(), rows, targets, groups=groups, cv=LeaveOneGroupOut()
    )
    return f1_score(targets, predicted, average="macro")


def test_stress_is_clear_but_not_perfect_in_an_unknown_person() -> None:
    assert 0.75 < score(1.0) < 0.97


def test_without_effect_nothing_can_be_learnt() -> None:
    assert score(0.0) < 0.6


def test_a_signal_does_not_depend_on_the_others() -> None:
    everything = make(6, rates=ALL_RATES)
    for name, rate in ALL_RATES.items():
        alone = make(6, rates={name: rate})
        np.testing.assert_array_equal(alone.signals[name].samples, everything.signals[name].samples)


def test_same_generator_same_session_next_call_someone_else() -> None:
    rng = np.random.default_rng(7)
    first, second = (session(rng, REST_THEN_STRESS) for _ in range(2))
    np.testing.assert_array_equal(first.signals["bvp"].samples, make(7).signals["bvp"].samples)
    assert first.person != second.person
    assert make(7, person=second.person).person == second.person
    assert draw_person(np.random.default_rng(1)) == draw_person(np.random.default_rng(1))


def test_segments_are_the_named_phases_within_the_shortest_signal() -> None:
    phases = (Phase("", 10.0, 0.2), Phase("rest", 20.0, 0.0), Phase("", 5.0, 0.2))
    made = make(8, (*phases, Phase("stress", 7.1, 1.0)))
    shortest = min(signal.duration for signal in made.signals.values())
    assert shortest == 42.0
    assert [(s.start, s.stop, s.trial, dict(s.annotations)) for s in made.segments] == [
        (10.0, 30.0, 1, {"condition": "rest"}),
        (35.0, 42.0, 2, {"condition": "stress"}),
    ]


def test_a_long_session_is_quick() -> None:
    start = time.perf_counter()
    make(9, (Phase("", 6000.0, 0.5),))
    assert time.perf_counter() - start < 1.0


def test_wrong_calls() -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        Phase("rest", 0.0, 0.0)
    with pytest.raises(ValueError, match=r"arousal in \[0, 1\]"):
        Phase("rest", 1.0, 1.5)
    with pytest.raises(ValueError, match="at least one phase"):
        make(0, ())
    with pytest.raises(ValueError, match="effect of 0 or more"):
        make(0, effect=-1.0)
    with pytest.raises(ValueError, match="'eeg'"):
        make(0, rates={"eeg": 128.0})
