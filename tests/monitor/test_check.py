"""`check`: what normal sounds of a site say of a model, and what `--adapt` makes of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.adaptation import as_calibrated, sounds_needed
from model.conformity import Conformity
from model.detector import ANOMALOUS, NORMAL, Detector, Score
from model.segment import Segment
from model.storage import read_model, write_model
from monitor.check import SiteSound, advice, distance_to, kolmogorov, measure
from monitor.check_words import what_to_do

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]


def scores_of(seed: int, n: int, shift: float = 0.0) -> tuple[NDArray[np.float64], ...]:
    """Make up scores of sounds: two that hang together a little."""
    rng = np.random.default_rng(seed)
    one = rng.normal(size=n) + shift
    return one, 0.5 * one + rng.normal(size=n)


def test_distance_is_that_of_scipy_for_two_samples() -> None:
    """The distance is the two-sample statistic on the ranks that the model itself compares."""
    from scipy.stats import ks_2samp

    reference = Conformity(*scores_of(0, 150))
    isolation, reconstruction = scores_of(1, 70, 0.4)
    p = reference.p_values(isolation, reconstruction)
    ours = distance_to(reference, p.joint)
    m = np.minimum(p.isolation, p.reconstruction)
    theirs = ks_2samp(m, m_reference_of(reference)).statistic
    assert abs(ours - theirs) < 0.02


def m_reference_of(conformity: Conformity) -> NDArray[np.float64]:
    """The smaller of each reference sound's two p-values, by their definition."""
    ranks = [
        (scores[np.newaxis, :] >= scores[:, np.newaxis]).mean(axis=1)
        for scores in (conformity.isolation, conformity.reconstruction)
    ]
    smaller: NDArray[np.float64] = np.minimum(*ranks)
    return smaller


def test_chance_of_a_distance_is_that_of_scipy() -> None:
    """For sizes as they occur, the p of the test is within a few percent of the exact one."""
    from scipy.stats import ks_2samp

    for n, shift in ((60, 0.2), (120, 0.3), (300, 0.25)):
        rng = np.random.default_rng(n)
        one, other = rng.normal(size=500), rng.normal(size=n) + shift
        exact = ks_2samp(one, other, method="exact")
        ours = kolmogorov(float(exact.statistic), 500 * n / (500 + n))
        assert ours == pytest.approx(exact.pvalue, rel=0.25, abs=0.01)


def test_normal_sounds_fail_the_test_no_more_often_than_chance() -> None:
    """Sounds like those of the reference differ at 5 % in about 5 of 100 trials, not more."""
    refused = 0
    for seed in range(400):
        reference = Conformity(*scores_of(2 * seed, 100))
        p = reference.p_values(*scores_of(2 * seed + 1, 100)).joint
        refused += kolmogorov(distance_to(reference, p), 50) < 0.05
    assert 5 <= refused <= 34


@pytest.fixture
def model(tmp_path: Path, demo_model: Path) -> Path:
    """Copy the demo's model, to be changed."""
    path = tmp_path / "six.offkey"
    shutil.copy(demo_model, path)
    return path


@pytest.fixture(scope="session")
def demo_reference(root: Path) -> Path:
    """Find the demo's own recordings."""
    return root / "monitor" / "demo" / "reference"


def in_noise(reference: Path, folder: Path, seed: int) -> Path:
    """Copy recordings into a folder, in noise 5 dB below them."""
    rng = np.random.default_rng(seed)
    for path in sorted(reference.glob("*.flac")):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        noise = rng.normal(size=len(samples)) * np.sqrt(np.mean(samples**2)) * 10 ** (-5 / 20)
        soundfile.write(folder / path.name, samples + noise, rate_hz)
    return folder


@pytest.fixture(scope="session")
def noisy(tmp_path_factory: pytest.TempPathFactory, demo_reference: Path) -> Path:
    """The demo's recordings in noise: normal sounds of a loud place."""
    return in_noise(demo_reference, tmp_path_factory.mktemp("noisy"), 7)


@pytest.fixture(scope="session")
def noisy_again(tmp_path_factory: pytest.TempPathFactory, demo_reference: Path) -> Path:
    """The same in other noise of the kind."""
    return in_noise(demo_reference, tmp_path_factory.mktemp("noisy again"), 8)


def test_check_says_where_the_promise_holds(
    run: Callable[..., Outcome],
    word_detector: Detector,
    write_words: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    """On new sounds like the reference, no warning and nothing to do; the model stays as it is."""
    model = tmp_path / "words.offkey"
    write_model(model, word_detector)
    before = model.read_bytes()
    write_words(tmp_path / "site", 80, 1000)
    done = run("check", model, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "promise holds" in done.stdout
    assert "--adapt" not in done.stdout
    assert model.read_bytes() == before


def test_check_says_what_to_expect_and_what_differs(
    run: Callable[..., Outcome], model: Path, noisy: Path
) -> None:
    """In a loud place it says how often normal sounds alarm, in which bands, and what helps."""
    done = run("check", model, noisy)
    said = done.stdout
    assert "in 100 instead of 1" in said
    assert "not spread as the reference sounds" in said
    assert "larger than in the reference" in said
    assert "--adapt" in said
    assert max(len(line) for line in said.splitlines() if not line.startswith("  off")) <= 80


def test_the_next_step_is_a_command_that_works(
    run: Callable[..., Outcome], model: Path, noisy: Path, tmp_path: Path
) -> None:
    """What it says to type after listening to a rehearsed microphone is understood, as it is."""
    pieces = [
        np.pad(soundfile.read(path)[0], (4000, 4000)) for path in sorted(noisy.glob("*.flac"))[:130]
    ]
    site = tmp_path / "my site.wav"
    soundfile.write(
        site, np.concatenate(pieces), soundfile.info(next(noisy.glob("*.flac"))).samplerate
    )
    done = run("check", model, "--rehearse", site, "--speed", "max", "--seconds", "3000")
    (line,) = [line for line in done.stdout.splitlines() if line.endswith("--adapt")]
    program, *words = shlex.split(line)
    assert (program, words[2:]) == (
        "offkey",
        ["--rehearse", str(site), "--speed", "max", "--adapt"],
    )
    done = run(*words, "--seconds", "3000")
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_adapted_to_is_not_advised(
    word_detector: Detector,
) -> None:
    """Where files were taken whole in a room, `--adapt` is no next step."""
    odd = [SiteSound(scored_as(word_detector, 9.0, 9.0), None) for _ in range(50)]
    found = measure(word_detector, odd)
    for is_adaptable in (True, False):
        steps = what_to_do(found, word_detector, "m.offkey", ["site"], is_adaptable)
        assert ("--adapt" in " ".join(steps)) == is_adaptable
        assert "offkey record" in " ".join(steps)


def test_adapting_keeps_the_promise_and_the_way_back(
    run: Callable[..., Outcome], model: Path, noisy: Path, noisy_again: Path
) -> None:
    """After --adapt the same place alarms as promised; --forget gives back the very same scores."""
    run("label", model, "0", "late hiss")
    before = read_model(model)
    done = run("check", model, noisy, "--adapt")
    assert done.returncode == 0, done.stderr
    assert "--forget" in done.stdout
    after = read_model(model)
    assert after.conformity.n == 240
    assert after.clusters.name(0) == "late hiss"
    assert after.original is not None
    assert np.array_equal(after.original.isolation, before.conformity.isolation)
    assert np.array_equal(after.subspace.components, before.subspace.components)
    again = run("check", model, noisy_again)
    assert "promise holds" in again.stdout
    assert "spread as the sounds that it was adapted to" in " ".join(again.stdout.split())
    refused = run("check", model, noisy_again, "--false-alarm-rate", "0.001")
    assert refused.returncode == 2
    assert "240 sounds that it was adapted to cannot promise" in refused.stderr
    told = run("inspect", model)
    assert "adapted" in told.stdout
    ready = as_calibrated(after)
    assert ready.gallery is not None
    assert ready.conformity.n == len(ready.gallery.cluster)
    assert ready.card.adaptation is not None
    assert run("check", model, "--forget").returncode == 0
    back = read_model(model)
    assert back.digest == before.digest


def test_too_few_sounds_are_not_adapted_to(
    run: Callable[..., Outcome], model: Path, noisy: Path
) -> None:
    """With fewer sounds than the rate takes, --adapt says how many and changes nothing."""
    before = model.read_bytes()
    done = run("check", model, *sorted(noisy.glob("*.flac"))[:30], "--adapt")
    assert done.returncode == 2
    assert f"at least {sounds_needed(0.01)}" in done.stderr
    assert "Traceback" not in done.stderr
    assert model.read_bytes() == before


def test_copies_are_no_further_sounds_to_adapt_to(
    run: Callable[..., Outcome], model: Path, noisy: Path, tmp_path: Path
) -> None:
    """Thirty sounds four times over are thirty: too few, and the copies are told."""
    (tmp_path / "site").mkdir()
    for i in range(4):
        for path in sorted(noisy.glob("*.flac"))[:30]:
            shutil.copy(path, tmp_path / "site" / f"{i} {path.name}")
    before = model.read_bytes()
    done = run("check", model, tmp_path / "site", "--adapt")
    assert done.returncode == 2
    assert "30 sounds" in done.stdout
    assert "90 copies" in done.stdout
    assert "30 different sounds are too few" in done.stderr
    assert model.read_bytes() == before


def test_what_a_model_knows_tells_nothing_of_its_promise(
    run: Callable[..., Outcome], model: Path, noisy: Path, demo_reference: Path
) -> None:
    """Its own recordings, and sounds that it was adapted to, are left out, alone refused."""
    done = run("check", model, demo_reference)
    assert done.returncode == 2
    assert "Nothing new was heard: 240 that the model learnt from." in done.stderr
    some = sorted(noisy.glob("*.flac"))[:120]
    assert run("check", model, *some, *sorted(demo_reference.glob("*.flac")), "--adapt").stdout
    assert read_model(model).conformity.n == 120
    done = run("check", model, *some)
    assert done.returncode == 2
    assert "Nothing new was heard: 120 that it was adapted to." in done.stderr
    done = run("check", model, noisy)
    assert done.returncode == 0, done.stderr
    assert "120 sounds" in done.stdout
    assert "120 that it was adapted to: nothing can be told by these" in done.stdout


def test_adapting_again_still_says_what_the_reference_thinks(
    run: Callable[..., Outcome], model: Path, noisy: Path, noisy_again: Path
) -> None:
    """However often a model is adapted, how many alarm by its reference's scores stays known."""
    run("check", model, noisy, "--adapt")
    once = read_model(model).card.adaptation
    done = run("check", model, noisy, noisy_again, "--adapt")
    twice = read_model(model)
    assert once is not None
    assert twice.card.adaptation is not None
    assert twice.conformity.n == 480
    assert once.alarms_before > 20
    assert twice.card.adaptation.alarms_before > 1.5 * once.alarms_before
    said = done.stdout[done.stdout.index("\nadapted ") :]
    assert f"{twice.card.adaptation.alarms_before} of 480" in said
    assert "by the reference" in said
    assert max(len(line) for line in said.splitlines() if not line.startswith("  off")) <= 80
    told = " ".join(run("inspect", model).stdout.split())
    assert f"{twice.card.adaptation.alarms_before} alarmed by the scores of the reference" in told


def test_recordings_learnt_in_a_room_are_known_without_it(
    run: Callable[..., Outcome], words_folder: Path, tmp_path: Path
) -> None:
    """What a model was fitted on with a room mixed in is known again as the file that it was."""
    noise = 0.003 * np.random.default_rng(0).normal(size=80_000)
    soundfile.write(tmp_path / "room.wav", noise, 8000)
    model = tmp_path / "m.offkey"
    words = ("--no-maps", "--features", "spectrum", "--room", tmp_path / "room.wav")
    assert run("calibrate", words_folder, "-o", model, *words).returncode == 0
    done = run("check", model, words_folder, "--adapt")
    assert done.returncode == 2
    assert "Nothing new was heard: 60 that the model learnt from." in done.stderr


def test_in_a_room_only_what_the_gate_cuts_is_adapted_to(
    run: Callable[..., Outcome],
    words_folder: Path,
    write_words: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    """Short files are taken whole, told so, and not ranked among; one long recording is."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "room.wav", 0.003 * rng.normal(size=80_000), 8000)
    model = tmp_path / "m.offkey"
    words = ("--no-maps", "--features", "spectrum", "--room", tmp_path / "room.wav")
    assert run("calibrate", words_folder, "-o", model, *words).returncode == 0
    files = write_words(tmp_path / "new", 120, 500)
    pieces = [np.pad(soundfile.read(path)[0], (12_000, 8_000)) for path in files]
    there = np.concatenate(pieces)
    there += 0.003 * rng.normal(size=len(there))
    soundfile.write(tmp_path / "long.wav", there, 8000)
    before = model.read_bytes()
    told = run("check", model, *files).stderr
    assert f"{len(files)} short files are taken whole, as score takes them" in told
    done = run("check", model, *files, "--adapt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "One long recording of the sounds there, or --device NAME" in done.stderr
    assert model.read_bytes() == before
    done = run("check", model, tmp_path / "long.wav", "--adapt")
    assert done.returncode == 0, done.stderr
    assert "whole" not in done.stderr
    assert model.read_bytes() != before


def test_a_model_that_has_become_far_stricter_is_told(
    run: Callable[..., Outcome], model: Path, demo_reference: Path, tmp_path: Path
) -> None:
    """Adapted to recordings that are nearly those that it learnt from, it says what that does."""
    rng = np.random.default_rng(0)
    for path in sorted(demo_reference.glob("*.flac")):
        samples, rate_hz = soundfile.read(path)
        near = samples + 1e-4 * rng.normal(size=len(samples))
        soundfile.write(tmp_path / path.name, near, rate_hz, subtype="PCM_24")
    said = " ".join(run("check", model, tmp_path, "--adapt").stdout.split())
    assert "It is far stricter now" in said
    assert "wrong where these are copies of what it learnt from" in said


def test_one_sound_breaks_no_promise(run: Callable[..., Outcome], model: Path, noisy: Path) -> None:
    """Of fewer than ten sounds, however odd, nothing is concluded."""
    said = run("check", model, next(iter(sorted(noisy.glob("*.flac"))))).stdout
    assert "heard       1 sound\n" in said
    assert "Too few sounds to tell whether the model's promise holds here." in said


def test_what_calibration_expects_of_new_groups_breaks_no_promise(demo_detector: Detector) -> None:
    """Twice as many alarms as asked for are none too many where new groups gave as many."""
    conformity = demo_detector.conformity
    ordered = np.sort(conformity.reconstruction)
    low = float(np.min(conformity.isolation))

    def heard(n_odd: int) -> list[SiteSound]:
        errors = [float(ordered[-1]) + 1] * n_odd + ordered[: 200 - n_odd].tolist()
        return [SiteSound(scored_as(demo_detector, low, error), None) for error in errors]

    expected = demo_detector.measured_rate
    assert expected is not None
    assert 0.015 < expected < 0.05
    assert not measure(demo_detector, heard(round(200 * expected) + 2)).alarms_too_often
    assert measure(demo_detector, heard(40)).alarms_too_often


def scored_as(detector: Detector, isolation: float, error: float) -> Score:
    """Make up the score of a sound from its two scores."""
    one, other, p = detector.conformity.p_of_one(isolation, error)
    return Score(
        verdict=ANOMALOUS if p <= detector.false_alarm_rate else NORMAL,
        isolation_score=isolation,
        reconstruction_error=error,
        isolation_p=one,
        reconstruction_p=other,
        p=p,
        profile=tuple(detector.clusters.centroids[0].tolist()),
    )


def test_adapting_needs_no_reader(model: Path, noisy: Path) -> None:
    """Where nobody reads what it says, the model is adapted all the same."""
    offkey = Path(sys.executable).with_name("offkey")
    before = read_model(model)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [offkey, "check", model, noisy, "--adapt"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert read_model(model).conformity.n == 240
    assert read_model(model).digest != before.digest


def test_a_signal_to_end_adapts_to_nothing(model: Path, noisy: Path, tmp_path: Path) -> None:
    """SIGTERM while it listens leaves the model as it was, and says so; only Ctrl-C is enough."""
    parts = []
    rate_hz = 8000
    for path in sorted(noisy.glob("*.flac")):
        samples, rate_hz = soundfile.read(path)
        parts += [samples, np.zeros(rate_hz // 2) + 1e-6]
    soundfile.write(tmp_path / "site.wav", np.concatenate(parts), rate_hz)
    before = model.read_bytes()
    site = str(tmp_path / "site.wav")
    words = ["--rehearse", site, "--speed", "20", "--seconds", "3000", "--adapt"]
    offkey = Path(sys.executable).with_name("offkey")
    with subprocess.Popen(
        [offkey, "check", model, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listening:
        assert listening.stderr is not None
        assert "listening" in listening.stderr.readline()
        time.sleep(2)
        listening.terminate()
        _, errors = listening.communicate(timeout=20)
    assert listening.returncode == 1
    assert "Ended before its time: nothing was changed." in errors
    assert model.read_bytes() == before


def test_few_sounds_say_what_can_still_be_told(
    run: Callable[..., Outcome], model: Path, noisy: Path
) -> None:
    """Of a handful of sounds it says that they are too few, and how large the rate may be."""
    done = run("check", model, *sorted(noisy.glob("*.flac"))[:6])
    assert done.returncode == 0, done.stderr
    assert "too few" in done.stdout
    assert "95 % confidence" in done.stdout


def test_check_listens_to_a_rehearsed_microphone(
    run: Callable[..., Outcome],
    model: Path,
    demo_reference: Path,
    tmp_path: Path,
) -> None:
    """Through the microphone's engine it finds the sounds of a file, and ends after its time."""
    rng = np.random.default_rng(1)
    rate_hz = 8000
    quiet = (rng.normal(size=rate_hz) * 1e-5).astype(np.float32)
    parts: list[Samples] = [quiet, quiet]
    for path in sorted(demo_reference.glob("*.flac"))[:12]:
        samples, rate_hz = soundfile.read(path, dtype="float32")
        parts += [samples, quiet]
    soundfile.write(tmp_path / "site.wav", np.concatenate(parts), rate_hz)
    done = run("check", model, "--rehearse", tmp_path / "site.wav", "--speed", "max",
               "--seconds", "15")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "heard" in done.stdout
    assert "listening for 15 s" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--adapt", "--forget"], "exclude each other"),
        (["--forget", "--device", "usb"], "takes the model alone"),
        (["--forget"], "ranks sounds among those of its reference already"),
        (["--seconds", "0"], "--seconds takes"),
        (["nowhere.wav"], "nowhere.wav"),
        (["--speed", "2"], "--speed goes with"),
        (["six.wav", "--rehearse", "other.wav"], "exclude each other"),
    ],
)
def test_bad_input_gets_one_sentence(
    run: Callable[..., Outcome], model: Path, words: list[str], sentence: str
) -> None:
    """What cannot be done is refused in a sentence, with exit code 2."""
    done = run("check", model, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_windows_are_checked_too(
    run: Callable[..., Outcome],
    machine_model: Path,
    make_machine: Callable[[int, float], Samples],
    tmp_path: Path,
) -> None:
    """In continuous mode the windows of a long file are taken, and called so."""
    soundfile.write(tmp_path / "now.wav", make_machine(50, 20.0), 8000)
    done = run("check", machine_model, tmp_path / "now.wav")
    assert done.returncode == 0, done.stderr
    assert "windows" in done.stdout.splitlines()[0]


def test_advice_follows_what_was_found(demo_detector: Detector) -> None:
    """Many alarms are told as such; the room is blamed only where there is more noise."""
    rng = np.random.default_rng(0)
    segments = [
        Segment(rng.normal(size=4000).astype(np.float32) * 0.1, 0.0, 0.5) for _ in range(30)
    ]
    scores = demo_detector.score_batch(segments)
    found = measure(demo_detector, [SiteSound(score, None) for score in scores])
    assert found.alarms.count == 30
    assert advice(found) == "odder"
    noisy = measure(demo_detector, [SiteSound(score, -20.0) for score in scores])
    assert noisy.noisier.count == 30
    assert advice(noisy) == "background"
    quiet = measure(demo_detector, [SiteSound(score, 90.0) for score in scores])
    assert quiet.quieter.count == 30
    assert advice(quiet) == "odder"
