"""PMEmo made up: the folders and files of the edition of 2019, with a planted effect in them.

    metadata.csv
    annotations/  static_annotations.csv  dynamic_annotations.csv  and _std.csv of both
    EDA/          1_EDA.csv ...   a column of times, then one for each listener
    features/     static_features.csv   dynamic_features.csv (two rows a song)

Valence and arousal of a song show in the skin conductance of its listeners and, linearly, in some
of the song's features. Audio, lyrics and comments are not written. A song takes about 90 kB, and
16 kB more for each listener.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import AffectbenchError
from datamodules.formats.tables import write_columns
from datamodules.pmemo import EDA_RATE, N_FEATURES, N_LISTENERS, N_SONGS
from datamodules.synthesis.folders import check_free, check_request, new_folder, write_new
from datamodules.synthesis.physiology import draw_person
from datamodules.synthesis.trials import body, draw_stimuli, felt, rate

Samples = npt.NDArray[np.float64]

LISTENERS = tuple(str(100083 + 1009 * number) for number in range(N_LISTENERS))
"""Ids of six digits; the first one is the publisher's."""
FEWEST_SONGS = 4
HIGHEST_SONG = 1000
UNRATED = 27 / N_SONGS
"""Share of the songs that have skin conductance but no annotations."""
HEARD = (18, 22)
"""Fewest and most songs that a listener hears, where there are so many."""
SECONDS = (20.0, 60.0)
"""Shortest and longest clip."""
BEYOND = 4
"""Samples of skin conductance after the end of the clip."""
CUT = 0.1
"""Share of the traces whose last cells are empty."""
CUT_SAMPLES = 50
"""Most empty cells at the end of a trace."""
RATING_STEPS = 80
"""A mean of ten ratings from 1 to 9 is a multiple of the inverse of this, between 0 and 1."""

FIRST_FRAMES = (15.0, 15.5)
"""Times of the first dynamic rating; each song has one of them."""
DRIFT = 0.08
"""Largest difference of a dynamic rating of a song from its mean."""

INFORMATIVE = 0.05
"""Share of the features that depend on valence and arousal."""
CONTRAST = 2.0
"""Standard deviation of the weights of valence and arousal, in deviations of the feature."""
MAGNITUDES = (-5.0, 7.0)
"""Decimal logarithms of the smallest and the largest feature."""
CONSTANT = 0.01
"""Share of the features that are 0 in every song."""

VOICE = ("F0final", "voicingFinalUnclipped", "jitterLocal", "jitterDDP", "shimmerLocal", "logHNR")
LOUDNESS = ("audspec_lengthL1norm", "audspecRasta_lengthL1norm", "pcm_RMSenergy", "pcm_zcr")
SPECTRUM = """
    fband250-650 fband1000-4000 spectralRollOff25.0 spectralRollOff50.0 spectralRollOff75.0
    spectralRollOff90.0 spectralFlux spectralCentroid spectralEntropy spectralVariance
    spectralSkewness spectralKurtosis spectralSlope psySharpness spectralHarmonicity
"""
FUNCTIONALS = """
    range maxPos minPos quartile1 quartile2 quartile3 iqr1-2 iqr2-3 iqr1-3 percentile1.0
    percentile99.0 pctlrange0-1 amean flatness rqmean stddev skewness kurtosis maxSegLen minSegLen
    meanSegLen segLenStddev upleveltime25 upleveltime50 upleveltime75 upleveltime90 risetime
    leftctime lpgain lpc0 lpc1 lpc2 lpc3 lpc4 meanRisingSlope stddevRisingSlope meanFallingSlope
    stddevFallingSlope meanPeakDist peakDistStddev peakRangeAbs peakRangeRel peakMeanAbs
    peakMeanMeanDist peakMeanRel minRangeRel centroid linregc1 linregc2 linregerrQ qregc1 qregc2
    qregc3 qregerrQ
"""
"""54 of a contour, the first 46 of its difference, the first 39 of both for the voice: so they add
up to the published number. The names are like openSMILE's; which contour has which is not."""
PITCH_ONLY = ("numOnsets", "duration", "onTime", "offTime", "turns")


@dataclass(frozen=True, eq=False)
class Songs:
    """The songs, S of them.

    Args:
        ids: Numbers of the songs, rising, shape (S,).
        levels: Valence and arousal from 0 to 1, shape (S, 2).
        seconds: Length of each clip, shape (S,).
        rated: Whether a song is annotated, shape (S,).
    """

    ids: npt.NDArray[np.int64]
    levels: Samples
    seconds: Samples
    rated: npt.NDArray[np.bool_]

    def n_times(self, row: int) -> int:
        """Return the number of samples of skin conductance of a song."""
        return round(float(self.seconds[row]) * EDA_RATE) + BEYOND


def write(
    root: Path, n_subjects: int = 6, seed: int = 0, effect: float = 1.0, n_songs: int = 24
) -> None:
    """Write the first listeners of a made-up PMEmo.

    Args:
        root: Parent folder of the new folders; made if it does not exist.
        n_subjects: 1 to 457 listeners. A listener does not depend on how many there are.
        seed: Seed of all random numbers.
        effect: Strength of the effect of valence and arousal on skin conductance and features; 0
            for none.
        n_songs: 4 to 794. A song that none of the listeners heard has no file of skin conductance.

    Raises:
        AffectbenchError: A number of listeners or songs or an effect out of range, or files that
            exist; nothing is written then.
    """
    check_request(root / "EDA", LISTENERS, n_subjects, effect)
    check_free(root, ("EDA", "annotations", "features", "metadata.csv"))
    if not FEWEST_SONGS <= n_songs <= N_SONGS:
        raise AffectbenchError(f"expected {FEWEST_SONGS} to {N_SONGS} songs, found {n_songs}")
    drawing, rating, sounding = np.random.default_rng([seed, 0]).spawn(3)
    songs = _draw_songs(drawing, n_songs)
    with (
        new_folder(root / "annotations") as annotations,
        new_folder(root / "EDA") as eda,
        new_folder(root / "features") as features,
    ):
        _write_annotations(annotations, rating, songs)
        _write_features(features, sounding, songs, effect)
        heard = {
            listener: _listen(np.random.default_rng([seed, 1, number]), songs, effect)
            for number, listener in enumerate(LISTENERS[:n_subjects])
        }
        for row, song in enumerate(songs.ids.tolist()):
            columns = {name: traces[row] for name, traces in heard.items() if row in traces}
            if columns:
                times = np.arange(songs.n_times(row)) / EDA_RATE
                write_columns(eda / f"{song}_EDA.csv", {"time(s)": times, **columns})
        write_new(root / "metadata.csv", _metadata(songs))


def contours(ending: str) -> list[str]:
    """Return the names of openSMILE's 65 contours, those of the voice first."""
    return [
        *(f"{name}{ending}" for name in (*VOICE, *LOUDNESS)),
        *(f"audSpec_Rfilt{ending}[{band}]" for band in range(26)),
        *(f"pcm_fftMag_{name}{ending}" for name in SPECTRUM.split()),
        *(f"pcm_fftMag_mfcc{ending}[{number}]" for number in range(1, 15)),
    ]


def feature_names() -> list[str]:
    """Return the names of the 6373 features."""
    names = [f"F0final__Turn_{kind}" for kind in PITCH_ONLY]
    for ending, count in (("_sma", 54), ("_sma_de", 46)):
        for number, contour in enumerate(contours(ending)):
            kinds = FUNCTIONALS.split()[: 39 if number < len(VOICE) else count]
            names += [f"{contour}_{kind}" for kind in kinds]
    return names


def _draw_songs(rng: np.random.Generator, n_songs: int) -> Songs:
    rated = np.ones(n_songs, dtype=np.bool_)
    rated[rng.permutation(n_songs)[: max(1, round(UNRATED * n_songs))]] = False
    return Songs(
        ids=np.sort(rng.choice(HIGHEST_SONG, n_songs, replace=False)) + 1,
        levels=np.round(draw_stimuli(rng, n_songs) * RATING_STEPS) / RATING_STEPS,
        seconds=np.round(rng.uniform(*SECONDS, n_songs), 1),
        rated=rated,
    )


def _listen(rng: np.random.Generator, songs: Songs, effect: float) -> dict[int, Samples]:
    """Make up a listener's skin conductance during each of some songs, by the song's row."""
    person = draw_person(rng)
    n_songs = len(songs.ids)
    heard = rng.permutation(n_songs)[: rng.integers(HEARD[0], HEARD[1], endpoint=True)].tolist()
    levels = felt(rate(rng, songs.levels))
    traces = {}
    for row, stream in zip(heard, rng.spawn(len(heard)), strict=True):
        seconds = songs.n_times(row) / EDA_RATE
        trace = body(stream, person, levels[row], seconds, {"eda": EDA_RATE}, effect)["eda"][0]
        if stream.random() < CUT:
            trace[-stream.integers(1, CUT_SAMPLES, endpoint=True) :] = np.nan
        traces[row] = trace
    return traces


def _write_annotations(folder: Path, rng: np.random.Generator, songs: Songs) -> None:
    rows = np.flatnonzero(songs.rated)
    times, moving = [], []
    for row in rows:
        last = np.floor(2 * songs.seconds[row]) / 2
        times.append(np.arange(rng.choice(FIRST_FRAMES), last + 0.1, 0.5))
        turns = times[-1][:, None] / rng.uniform(2.0, 6.0, 2) + rng.uniform(0, 2 * np.pi, 2)
        moving.append(np.clip(songs.levels[row] + DRIFT * np.sin(turns), 0.0, 1.0))
    ids = songs.ids[rows]
    frames = {
        "musicId": np.repeat(ids, [len(frames) for frames in times]),
        "frameTime": np.concatenate(times),
    }
    for name, columns, levels in (
        ("static_annotations", {"musicId": ids}, songs.levels[rows]),
        ("dynamic_annotations", frames, np.concatenate(moving)),
    ):
        spread = rng.uniform(0.1, 0.25, levels.shape)
        for ending, kind, values in (("", "mean", levels), ("_std", "std", spread)):
            table = {**columns, f"Arousal({kind})": values[:, 1], f"Valence({kind})": values[:, 0]}
            write_columns(folder / f"{name}{ending}.csv", table)


def _write_features(folder: Path, rng: np.random.Generator, songs: Songs, effect: float) -> None:
    magnitude = rng.choice([-1.0, 1.0], N_FEATURES) * 10 ** rng.uniform(*MAGNITUDES, N_FEATURES)
    spread = magnitude * rng.uniform(0.05, 0.5, N_FEATURES)
    weights = rng.normal(0.0, CONTRAST, (2, N_FEATURES)) * (rng.random(N_FEATURES) < INFORMATIVE)
    noise = rng.standard_normal((len(songs.ids), N_FEATURES))
    values = magnitude + spread * (noise + effect * (songs.levels - 0.5) @ weights)
    values[:, rng.random(N_FEATURES) < CONSTANT] = 0.0
    columns = dict(zip(feature_names(), values.T, strict=True))
    write_columns(folder / "static_features.csv", {"musicId": songs.ids, **columns}, "%.6e")
    names = [
        f"{c}_{kind}" for kind in ("mean", "std") for c in (*contours("_sma"), *contours("_sma_de"))
    ]
    values = rng.standard_normal((len(names), 2 * len(songs.ids)))
    frames = {"musicId": np.repeat(songs.ids, 2), "frameTime": np.tile([0.0, 0.5], len(songs.ids))}
    columns = dict(zip(names, values, strict=True))
    write_columns(folder / "dynamic_features.csv", {**frames, **columns})


def _metadata(songs: Songs) -> str:
    lines = ["musicId,fileName,title,artist,album,duration,chorus_start_time,chorus_end_time"]
    for song, seconds in zip(songs.ids.tolist(), songs.seconds.tolist(), strict=True):
        start, stop = 60 + song % 120, 60 + song % 120 + round(seconds)
        times = (f"{moment // 60:02d}:{moment % 60:02d}" for moment in (start, stop))
        made_up = f"Song {song},Artist {song % 97},Album {song % 311}"
        lines.append(f"{song},{song}.mp3,{made_up},{seconds},{','.join(times)}")
    return "\n".join(lines) + "\n"
