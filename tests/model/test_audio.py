"""Any file to mono samples: every form that a sound comes in, and all that can be wrong."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.audio import Block, Mixdown, Resampler, level_dbfs, read_recording, resample
from model.errors import AudioError
from model.features import Spectrum
from model.segment import Segment, Segmentation
from model.segmenter import cut_recording

RATE = 6800
NAMES = [
    b"plain.wav",
    b"with two  spaces.wav",
    b"new\nline.wav",
    "s\u00e9chs \u516d.wav".encode(),
    b"not \xff utf-8 \xfe.wav",
    b"- dash.wav",
]


def sound(rate_hz: int, duration_s: float = 0.6) -> NDArray[Any]:
    """Make the same band-limited sound at any rate: tones below 3 kHz that rise and fall."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    rng = np.random.default_rng(5)
    tones = sum(
        rng.uniform(0.2, 1) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6))
        for f in (150, 333, 700, 1250, 1900, 2750)
    )
    return 0.15 * tones * np.sin(np.pi * t / duration_s) ** 2


def segment_of(path: Path | str) -> Segment:
    """Read a file as `score` does in event mode."""
    (segment,) = cut_recording(read_recording(path, RATE, 1.0), Segmentation())
    return segment


def plain_features() -> NDArray[np.float64]:
    """Give the features of the sound as it is, without any file."""
    features = Spectrum().features(sound(RATE).astype(np.float32))
    assert features is not None
    return features.astype(np.float64)


def features_of(path: Path | str) -> NDArray[np.float64]:
    """Read a file as calibration does."""
    segment = segment_of(path)
    assert segment.reason is None
    features = Spectrum().features(segment.samples)
    assert features is not None
    return features.astype(np.float64)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Write the sound as 16 bit at 48 kHz."""
    soundfile.write(tmp_path / "sound.wav", sound(48_000), 48_000)
    return tmp_path / "sound.wav"


def refusal(path: Path | str) -> str:
    """Expect an unreadable recording; give its one sentence."""
    with pytest.raises(AudioError) as caught:
        read_recording(path, RATE, 1.0)
    assert caught.value.exit_code == 2
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert sentence.isprintable()
    return sentence


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_the_same_sound_in_any_form_has_the_same_features(
    rate_hz: int, channels: int, subtype: str, tmp_path: Path
) -> None:
    """Rates, channels and sample formats change features by no more than their own noise."""
    frames = np.repeat(sound(rate_hz)[:, None], channels, axis=1)
    if subtype == "PCM_U8":  # rounded here: libsndfile rounds down, which is an offset
        frames = np.round(127 * frames).astype(np.int16) * 256
    soundfile.write(tmp_path / "x.wav", frames, rate_hz, subtype=subtype)
    plain = plain_features()
    tolerance = 0.03 if subtype == "PCM_U8" else 0.005
    np.testing.assert_allclose(features_of(tmp_path / "x.wav"), plain, atol=tolerance)


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff", "ogg", "au", "caf", "w64"])
def test_the_same_sound_in_any_container_has_the_same_features(ending: str, tmp_path: Path) -> None:
    """Known containers are read alike, lossy ones roughly."""
    soundfile.write(tmp_path / f"x.{ending}", sound(48_000), 48_000)
    plain = plain_features()
    np.testing.assert_allclose(features_of(tmp_path / f"x.{ending}"), plain, atol=0.03)


def test_channels_are_averaged(tmp_path: Path) -> None:
    """What is in one of two channels only is heard at half its size."""
    frames = np.column_stack([sound(RATE), np.zeros_like(sound(RATE))])
    soundfile.write(tmp_path / "x.wav", frames, RATE, subtype="FLOAT")
    mono = read_recording(tmp_path / "x.wav", RATE).samples.astype(np.float64)
    np.testing.assert_allclose(mono, sound(RATE) / 2, atol=1e-6)


def test_the_beginning_of_a_long_file_is_that_of_the_whole(tmp_path: Path) -> None:
    """With a limit, the samples up to it are those of the file read in full."""
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "x.wav", rng.normal(size=5 * 44_100) * 0.1, 44_100)
    whole = read_recording(tmp_path / "x.wav", RATE)
    start = read_recording(tmp_path / "x.wav", RATE, 1.0)
    np.testing.assert_array_equal(start.samples, whole.samples[:RATE])
    assert start.duration_s == whole.duration_s == 5
    assert len(whole.samples) == 5 * RATE


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_read_and_told(name: bytes, tmp_path: Path, wav: Path) -> None:
    """Spaces, newlines and bytes that are no UTF-8 do not keep a file from being read or named."""
    path = os.path.join(tmp_path, os.fsdecode(name))
    os.rename(wav, path)
    features_of(path)
    Path(path).write_text("no audio")
    refusal(path).encode()


def test_a_text_file_is_not_audio(tmp_path: Path) -> None:
    """A text named .wav is refused with its name."""
    (tmp_path / "notes.wav").write_text("six six six\n" * 100)
    assert "notes.wav is not an audio file" in refusal(tmp_path / "notes.wav")


def test_an_empty_file_is_not_audio(tmp_path: Path) -> None:
    """No bytes at all are no audio either."""
    (tmp_path / "empty.wav").touch()
    assert "is not an audio file" in refusal(tmp_path / "empty.wav")


@pytest.mark.parametrize("ending", ["wav", "flac"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_in_the_middle_is_refused(ending: str, share: float, tmp_path: Path) -> None:
    """A WAV and a FLAC that lost their ends are not taken for shorter sounds."""
    path = tmp_path / f"cut.{ending}"
    soundfile.write(path, sound(48_000), 48_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "cut" in refusal(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000])
def test_a_wav_of_unknown_length_is_whole(size: int, wav: Path) -> None:
    """A header written to a pipe, with the largest length there is, does not mean a cut file."""
    expected = features_of(wav)
    content = bytearray(wav.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", size)
    wav.write_bytes(content)
    np.testing.assert_array_equal(features_of(wav), expected)
    assert segment_of(wav).duration_s == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.empty(0), "too short"),
        (sound(48_000)[:3], "too short"),
        (np.zeros(24_000), "digital zero"),
        (np.full(24_000, 0.25), "digital zero"),
        (sound(48_000) * 1e-5, "silent"),
        (sound(48_000) * 1e-3, None),
        (sound(48_000) + 0.7, None),
        (1e-3 * sound(48_000) - 0.9, None),
    ],
    ids=[
        "no samples",
        "three samples",
        "zeros",
        "constant",
        "too quiet",
        "very quiet",
        "offset",
        "offset larger than the sound",
    ],
)
def test_what_cannot_be_scored_says_why(
    samples: NDArray[np.float64], reason: str | None, tmp_path: Path
) -> None:
    """Nothing, zeros, a constant and silence have their words; faint and shifted are fine."""
    for rate_hz in (48_000, 6800, 8000):
        soundfile.write(tmp_path / "x.wav", samples, rate_hz, subtype="FLOAT")
        segment = segment_of(tmp_path / "x.wav")
        assert segment.reason == reason
        assert np.isfinite(segment.samples).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_sample_that_is_not_finite_is_told(value: float, channel: int, tmp_path: Path) -> None:
    """One NaN or infinity in one channel makes a segment `not finite`, unless beyond its end."""
    frames = np.column_stack([sound(48_000, 2.0)] * 2).astype(np.float32)
    for at, reason in ((0, "not finite"), (20_000, "not finite"), (60_000, None)):
        broken = frames.copy()
        broken[at, channel] = value
        soundfile.write(tmp_path / "x.wav", broken, 48_000, subtype="FLOAT")
        segment = segment_of(tmp_path / "x.wav")
        assert segment.reason == reason
        assert np.isfinite(segment.samples).all()


@pytest.mark.parametrize("rate_hz", [6800, 8000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("n", [4000, 9001, 9002, 9003, 9004, 9005])
def test_the_last_sample_counts_like_any_other(
    rate_hz: int, value: float, n: int, tmp_path: Path
) -> None:
    """A file whose last sample is no number is `not finite`, whatever its rate and length."""
    broken = sound(rate_hz, n / 8000).astype(np.float32)
    broken[-1] = value
    soundfile.write(tmp_path / "x.wav", broken, rate_hz, subtype="FLOAT")
    recording = read_recording(tmp_path / "x.wav", RATE)
    for how in (Segmentation(duration_s=2.0), Segmentation("continuous", 0.3, 0.1)):
        assert "not finite" in [s.reason for s in cut_recording(recording, how)[-2:]]


@pytest.mark.parametrize("start", [1, 3, 1000, 4801])
def test_no_mark_lies_before_a_stream(start: int) -> None:
    """A stream that begins anywhere, as after a loss, marks its first sample within itself."""
    bad = np.array([start])
    block = Block(np.zeros(4800, np.float32), start, lost=start, not_finite=bad, overloads=bad)
    resampler = Resampler(48_000, 6800)
    out = list(resampler.push(block))
    for marks in (out[0].not_finite, out[0].overloads):
        assert marks.tolist() == [out[0].start]


@pytest.mark.parametrize("rate_hz", [6800, 8000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("size", [1, 17, 4800])
def test_no_mark_lies_behind_a_stream(rate_hz: int, size: int) -> None:
    """However a stream of any length is cut, marks on its last samples lie within it."""
    for n in range(601, 615):
        mixdown, resampler = Mixdown(), Resampler(rate_hz, RATE)
        frames = NOISE[:n, None].copy()
        frames[-2:] = np.nan
        pushed = [mixdown.push(frames[i : i + size], i) for i in range(0, n, size)]
        out = [after for block in pushed for after in resampler.push(block)]
        rest = resampler.flush()
        assert rest is not None
        marks = np.concatenate([block.not_finite for block in [*out, rest]])
        assert {rest.end - 2, rest.end - 1} & set(marks.tolist())


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    """A file that is gone is not called damaged."""
    assert "does not exist" in refusal(tmp_path / "gone.wav")


def test_a_dangling_link_says_so(tmp_path: Path) -> None:
    """A link to nothing is called what it is."""
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone.wav")
    assert "dangling link" in refusal(tmp_path / "link.wav")


def test_a_folder_is_not_a_recording(tmp_path: Path) -> None:
    """A folder where a file is expected is called what it is."""
    assert "is a folder" in refusal(tmp_path)


def clipped(samples: NDArray[Any], path: Path, **how: Any) -> bool:
    """Write and read back; tell whether the segment is flagged."""
    soundfile.write(path, samples, 48_000, **how)
    return segment_of(path).clipped


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_clipping_is_told_from_loudness(subtype: str, tmp_path: Path) -> None:
    """A sound cut off at full scale is flagged, a sine or a sound that peaks at 0.98 is not."""
    path = tmp_path / "x.wav"
    loud = sound(48_000) / np.abs(sound(48_000)).max()
    sine = np.sin(2 * np.pi * 100 * np.arange(48_000) / 48_000)
    assert clipped(np.clip(2 * loud, -1, 1), path, subtype=subtype)
    assert clipped(np.clip(2 * sine, -1, 1), path, subtype=subtype)
    assert not clipped(0.98 * loud, path, subtype=subtype)
    assert not clipped(0.98 * sine, path, subtype=subtype)


def test_float_beyond_full_scale_is_clipped(tmp_path: Path) -> None:
    """A float file may exceed full scale: that is an overload, and it is still scored."""
    assert clipped(20 * sound(48_000), tmp_path / "x.wav", subtype="FLOAT")
    assert segment_of(tmp_path / "x.wav").reason is None


def test_clipping_in_one_channel_counts(tmp_path: Path) -> None:
    """The mean of two channels hides an overload that is flagged all the same."""
    frames = np.column_stack([np.clip(9 * sound(48_000), -1, 1), np.zeros(28_800)])
    assert clipped(frames, tmp_path / "x.wav")


def test_levels_are_those_of_the_design() -> None:
    """A full-scale sine is at -3.01 dBFS RMS; nothing has no level."""
    sine = np.sin(2 * np.pi * np.arange(6800) / 68).astype(np.float32)
    assert level_dbfs(sine) == pytest.approx(-3.0103, abs=1e-3)
    assert level_dbfs(sine / np.float32(10)) == pytest.approx(-23.0103, abs=1e-3)
    assert level_dbfs(sine[:0]) is None
    assert level_dbfs(np.zeros(9, np.float32)) is None


NOISE = np.random.default_rng(0).normal(size=30_000).astype(np.float32)


def streamed(edges: list[int], rate_hz: int) -> NDArray[np.float32]:
    """Resample a stream cut at these places; check that blocks follow one another."""
    resampler = Resampler(rate_hz, RATE)
    out: list[Block] = []
    for a, b in zip([0, *edges], [*edges, len(NOISE)], strict=True):
        out += resampler.push(Block(NOISE[a:b], a))
    rest = resampler.flush()
    assert rest is not None
    out.append(rest)
    assert [block.start for block in out[1:]] == [block.end for block in out[:-1]]
    return np.concatenate([block.samples for block in out])


@pytest.mark.parametrize("rate_hz", [6800, 8000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("size", [17, 509, 4800, 30_000])
def test_streamed_resampling_equals_one_shot(size: int, rate_hz: int) -> None:
    """Blocks of any size give the samples of the whole, to the last bit."""
    edges = list(range(size, len(NOISE), size))
    np.testing.assert_array_equal(streamed(edges, rate_hz), resample(NOISE, rate_hz, RATE))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, len(NOISE)), max_size=50))
def test_streamed_resampling_of_any_cuts_equals_one_shot(cuts: list[int]) -> None:
    """Cuts anywhere, empty blocks among them, change nothing."""
    np.testing.assert_array_equal(streamed(sorted(cuts), 48_000), resample(NOISE, 48_000, RATE))


def test_resampling_begins_anew_after_a_loss() -> None:
    """What follows lost samples stands at its own place and is resampled as if it were alone."""
    resampler = Resampler(48_000, RATE)
    blocks = [*resampler.push(Block(NOISE[:10_000], 0))]
    after = [*resampler.push(Block(NOISE[14_400:], 14_400, 4400))]
    rest = resampler.flush()
    assert rest is not None
    lost = [i for i, block in enumerate(after) if block.lost]
    assert len(lost) == 1
    before, later = blocks + after[: lost[0]], [*after[lost[0] :], rest]
    for part, first, chunk in ((before, 0, NOISE[:10_000]), (later, 2040, NOISE[14_400:])):
        assert part[0].start == first
        samples = np.concatenate([block.samples for block in part])
        np.testing.assert_array_equal(samples, resample(chunk, 48_000, RATE))
    assert later[0].lost == pytest.approx(4400 * RATE / 48_000, abs=1)


def test_a_loss_is_not_taken_for_a_flat_top() -> None:
    """Full scale on both sides of a loss is no clipping: the samples were not neighbours."""
    full = np.array([[0.0], [1.0]], np.float32)
    mixdown = Mixdown()
    assert mixdown.push(full, 0).overloads.tolist() == []
    assert mixdown.push(full[1:], 100, lost=98).overloads.tolist() == []
    assert mixdown.push(full[1:], 101).overloads.tolist() == [101]


def test_marks_do_not_depend_on_blocks() -> None:
    """Clipped and broken samples have the same absolute places however the frames are cut."""
    frames = np.clip(NOISE[:5000, None], -1, 1)
    frames[[0, 999, 1000, 4999]] = np.nan
    whole = Mixdown().push(frames, 100)
    assert whole.not_finite.tolist() == [100, 1099, 1100, 5099]
    assert len(whole.overloads) > 50
    mixdown = Mixdown()
    parts = [mixdown.push(frames[i : i + 7], 100 + i) for i in range(0, 5000, 7)]
    for name in ("samples", "overloads", "not_finite"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_a_rate_below_the_front_end_is_refused(tmp_path: Path) -> None:
    """A file that lacks the upper part of what is looked at is told, not scored as if dull."""
    soundfile.write(tmp_path / "slow.wav", np.zeros(4000), 4000)
    with pytest.raises(AudioError, match="at least 6,800 Hz"):
        read_recording(tmp_path / "slow.wav", 6800)
