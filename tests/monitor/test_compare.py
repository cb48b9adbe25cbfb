"""The comparison shows what the explanation says, at every size, and its keys do what they say."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from textual.app import App
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from model.audio import resample
from model.detector import ANOMALOUS, NORMAL, Detector
from model.explanation import Explanation, explain
from model.parts import Part
from model.segment import Segment
from monitor.app.compare import CompareScreen, SegmentLine
from monitor.app.curves import LEAST, View, axis, overlay, peaks
from monitor.app.drawing import Drawing
from monitor.app.picture import Picture
from monitor.events import Heard

Samples = NDArray[np.float32]
Act = Callable[[Pilot[None]], Awaitable[None]]
SIZES = [(80, 24), (120, 40), (200, 60)]
FEATURES_HZ = np.arange(3400) * 6800 / 6796
DOTS = [(0x40, 0x80), (0x04, 0x20), (0x02, 0x10), (0x01, 0x08)]
"""Braille dots from the lowest row up."""

views = st.integers(20, 5000).flatmap(
    lambda total: st.integers(LEAST, total).flatmap(
        lambda size: st.builds(View, st.integers(0, total - size), st.just(size), st.just(total))
    )
)


class Host(App[None]):
    """Stands under the comparison; counts the presses of a key of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "count", "own key")]
    presses = 0

    def action_count(self) -> None:
        """Count a press."""
        self.presses += 1


@pytest.fixture(scope="module")
def samples(word_detector: Detector, make_word: Callable[..., Samples]) -> Samples:
    """Make a word that is off: a tone of 1,200 Hz goes through it."""
    word = resample(make_word(5), 8000, word_detector.front_end.rate_hz)
    tone = np.sin(2 * np.pi * 1200 * np.arange(len(word)) / word_detector.front_end.rate_hz)
    return (word + 0.05 * tone).astype(np.float32)


@pytest.fixture(scope="module")
def heard(word_detector: Detector, samples: Samples) -> Heard:
    """Score that word at 83.4 s of a file."""
    segment = Segment(samples, 83.4, len(samples) / word_detector.front_end.rate_hz)
    return Heard("x.wav", None, segment, word_detector.score(segment), 7)


@pytest.fixture(scope="module")
def explanation(word_detector: Detector, samples: Samples) -> Explanation:
    """Explain that word."""
    found = explain(word_detector, samples)
    assert found is not None
    return found


def on_screen(screen: CompareScreen, act: Act, size: tuple[int, int] = (120, 40)) -> Host:
    """Push the screen in an app without a terminal and do something to it."""
    app = Host()

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            app.push_screen(screen)
            await pilot.pause()
            await act(pilot)

    asyncio.run(run())
    return app


def text_of(widget: Drawing) -> list[str]:
    """All lines of a widget as they stand on the screen."""
    lines = [widget.render_line(y) for y in range(widget.size.height)]
    return ["".join(piece.text for piece in line) for line in lines]


def picture_of(pilot: Pilot[None]) -> Picture:
    """Find the picture."""
    return pilot.app.screen.query_one(Picture)


def caption_of(pilot: Pilot[None]) -> str:
    """What the lower border says."""
    said = picture_of(pilot)._border_subtitle
    assert isinstance(said, Content)
    return said.plain


def keys_of(pilot: Pilot[None]) -> str:
    """What the footer says, for keys that can be pressed now or not."""
    footer = pilot.app.screen.query_one(Footer)
    texts = [f"{key.key_display} {key.description}" for key in footer.query(FooterKey)]
    return " ".join(texts)


@given(view=views, factor=st.floats(0.05, 20), share=st.floats(-3, 3), place=st.floats(0, 1))
def test_a_view_never_leaves_the_spectrum(
    view: View, factor: float, share: float, place: float
) -> None:
    """However one zooms and moves, what is in view lies in the spectrum and is never too little."""
    index = round(place * (view.total - 1))
    for found in (view.zoomed(factor, place), view.moved(share), view.around(index, factor)):
        assert found.total == view.total
        assert found.start >= 0
        assert found.start + found.size <= found.total
        assert found.size >= min(LEAST, view.total)
        assert len(np.arange(found.total)[found.part]) == found.size


@given(view=views, place=st.floats(0, 1))
def test_zooming_in_keeps_what_is_pointed_at(view: View, place: float) -> None:
    """The value under the pointer stays in view, at its place to within a value."""
    closer = view.zoomed(0.5, place)
    before = view.start + place * view.size
    assert abs(closer.start + place * closer.size - before) <= 0.5 + 1e-9


@given(view=views, place=st.floats(0, 1))
def test_what_is_gone_to_is_in_view(view: View, place: float) -> None:
    """Going to a value shows it, closer than before unless it was as close as can be."""
    index = round(place * (view.total - 1))
    found = view.around(index, 0.25)
    assert found.start <= index < found.start + found.size
    assert found.size < view.size or view.size == LEAST


@given(
    values=st.lists(st.floats(0, 1), min_size=8, max_size=60),
    rows=st.integers(2, 12),
)
def test_both_curves_stand_at_their_values_and_differ_by_their_glyphs(
    values: list[float], rows: int
) -> None:
    """The line is Braille and passes through each value; the area is blocks up to each value."""
    front = np.array(values)
    back, width = front[::-1].copy(), len(values)
    lines = overlay(front, back, 1.0, width, rows)
    cells = [[c for text, _ in line for c in text] for line in lines]
    roles = [[role for text, role in line for _ in text] for line in lines]
    is_line = [["⠀" < cell <= "⣿" for cell in row] for row in cells]
    assert is_line == [[role in ("front", "both") for role in row] for row in roles]
    assert {c for row in cells for c in row if not "⠀" < c <= "⣿"} <= set(" ▁▂▃▄▅▆▇█")
    for column in range(width):
        level = round(front[column] * (4 * rows - 1))
        row = rows - 1 - level // 4
        code = ord(cells[row][column]) - 0x2800
        is_hidden = row == rows - 1 and roles[row][column] == "back"
        assert is_hidden or code & (DOTS[level % 4][0] | DOTS[level % 4][1])
        full = int(back[column] * rows)
        above = [roles[y][column] for y in range(rows) if rows - y > full + 1]
        assert "both" not in above
        assert all(
            cells[y][column] == " " or roles[y][column] == "front"
            for y in range(rows)
            if rows - y > full + 1
        )
        assert all(roles[rows - 1 - y][column] in ("back", "both") for y in range(full))


@given(
    error=st.lists(st.floats(0, 1), min_size=1, max_size=200).map(np.array),
    apart=st.integers(1, 20),
)
def test_peaks_are_the_largest_errors(error: NDArray[np.float64], apart: int) -> None:
    """The largest comes first; each is a local maximum; two are never too near to each other."""
    found = peaks(error, apart, 3)
    assert len(found) <= 3
    assert [error[i] for i in found] == sorted((error[i] for i in found), reverse=True)
    if error.max() > 0:
        assert error[found[0]] == error.max()
    for i in found:
        assert error[i] == error[max(0, i - 1) : i + 2].max() > 0
    places = sorted(found)
    assert all(b - a > apart for a, b in itertools.pairwise(places))


@given(
    start=st.integers(0, 3400 - LEAST),
    size=st.integers(LEAST, 3400),
    width=st.integers(30, 200),
)
def test_ticks_stand_at_their_frequencies(start: int, size: int, width: int) -> None:
    """Each label of the axis begins at the column of its frequency, and at least one is there."""
    view = View(start, min(size, 3400 - start), 3400)
    text = axis(FEATURES_HZ, view, width)
    labels = list(re.finditer(r"╵([\d.,]+) (k?Hz)", text))
    assert len(text) <= width
    assert len(labels) == text.count("╵") >= 1
    for label in labels:
        frequency = float(label[1].replace(",", "")) * (1000 if label[2] == "kHz" else 1)
        place = (frequency * 6796 / 6800 - view.start + 0.5) / view.size * width
        assert abs(label.start() - place) <= 1 + width / view.size


def test_the_screen_names_the_segment(
    word_detector: Detector, heard: Heard, samples: Samples
) -> None:
    """Above the picture stand time, length, verdict, p, both scores and the cluster."""

    async def act(pilot: Pilot[None]) -> None:
        text = "\n".join(text_of(pilot.app.screen.query_one(SegmentLine)))
        assert "01:23.4" in text
        assert "0.50 s" in text
        assert heard.score.verdict.upper() in text
        assert "isolation +" in text or "isolation −" in text
        assert "reconstruction error" in text
        assert f"cluster {heard.score.cluster}: " in text

    on_screen(CompareScreen(word_detector, heard, samples), act)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("note", ["", "unlike any"])
def test_where_a_segment_is_off_is_read_at_every_width(heard: Heard, note: str, width: int) -> None:
    """The frequencies of the nearest cluster are told, and that a segment is unlike any."""
    name = "steadiness 2.0–2.3 kHz"  # of mel, whose errors are decibels
    score = replace(
        heard.score, reconstruction_error=12.5, cluster_name=name, unlike_any=bool(note)
    )
    line = SegmentLine(replace(heard, score=score), {})
    said = "".join(text for text, _ in line.draw(width - 2, 2)[1])
    assert len(said) <= width - 2
    assert "2.0–2.3 kHz" in said
    assert said.endswith(note or "kHz")


def test_the_largest_errors_are_named_with_their_values(
    word_detector: Detector, heard: Heard, samples: Samples, explanation: Explanation
) -> None:
    """The first is the largest in view, whatever that is, and its values are right."""

    async def act(pilot: Pilot[None]) -> None:
        for key in ("0", "1", "right", "minus", "left"):
            await pilot.press(key)
            picture = picture_of(pilot)
            part = picture.view.part
            index = part.start + int(explanation.error[part].argmax())
            row = next(line for line in text_of(picture) if line.startswith("   1  "))
            assert f"{explanation.frequencies_hz[index]:,.0f} Hz" in row
            values = (explanation.error, explanation.features, explanation.reconstruction)
            assert row.split()[3:] == [f"{v[index]:.3f}".replace("-", "−") for v in values]

    on_screen(CompareScreen(word_detector, heard, samples), act)


def test_the_caption_says_what_is_in_view(
    word_detector: Detector, heard: Heard, samples: Samples, explanation: Explanation
) -> None:
    """Range, spacing, reduction and the share of the error are those of the values in view."""

    async def act(pilot: Pilot[None]) -> None:
        assert caption_of(pilot).startswith("0–3,400 Hz · 1.0 Hz a value · a column shows the")
        picture = picture_of(pilot)
        picture.view = View(1200, 250, 3400)
        share = np.square(explanation.error[1200:1450]).sum() / np.square(explanation.error).sum()
        assert caption_of(pilot).startswith("1,201–1,450 Hz · 1.0 Hz a value · ")
        assert f"{100 * share:.0f} % of the reconstruction error" in caption_of(pilot)
        picture.view = View(1200, 50, 3400)
        assert "a column" not in caption_of(pilot)

    on_screen(CompareScreen(word_detector, heard, samples), act)


def test_a_normal_sound_is_compared_without_finding_fault(
    mel_detector: Detector, six: Samples
) -> None:
    """The caption says in which ways a segment is off only where it is anomalous."""
    samples = resample(six, 48_000, mel_detector.front_end.rate_hz)
    segment = Segment(samples, 0.0, len(samples) / mel_detector.front_end.rate_hz)
    score = mel_detector.score(segment)
    for verdict in (NORMAL, ANOMALOUS):
        heard = Heard("x.wav", None, segment, replace(score, verdict=verdict), 1)

        async def act(pilot: Pilot[None], is_normal: bool = verdict == NORMAL) -> None:
            said = caption_of(pilot)
            assert ("most different: " in said) is is_normal
            assert ("too " in said) is not is_normal

        on_screen(CompareScreen(mel_detector, heard, samples), act, (80, 24))


def test_what_does_not_fit_is_left_out_whole(
    word_detector: Detector, explanation: Explanation
) -> None:
    """However narrow it is, numbers keep their digits and words their ends."""
    error = np.zeros(3400)
    error[[400, 1600, 3000]] = 11.934, 10.825, 9.716
    half = Part("steadiness", 1700, "", "", "", "")
    differences = tuple(f"less steady in the middle at {khz} kHz" for khz in (1.2, 2.1, 3.1))
    shown = replace(explanation, error=error, parts=(half, half), differences=differences)
    numbers = ("11.934", "10.825", "9.716")

    async def run() -> None:
        async with Host().run_test(size=(140, 20)) as pilot:
            picture = Picture(word_detector, shown, is_anomalous=False)
            await pilot.app.mount(picture)
            for width in range(70, 140, 7):
                await pilot.resize_terminal(width, 20)
                await pilot.pause()
                told = re.findall(r"\d: steadiness [\d,]+ Hz (\S+)", picture._sentence(width - 4))
                assert told == [*numbers[: len(told)]] != []
                caption = picture._border_subtitle
                assert isinstance(caption, Content)
                words = caption.plain.removeprefix("most different: ").split(" · ")
                assert words[: len(differences)] == [*differences[: len(words)]]

    asyncio.run(run())


def test_keys_move_through_the_spectrum(
    word_detector: Detector, heard: Heard, samples: Samples, explanation: Explanation
) -> None:
    """Each key does to the view what the footer says of it."""

    async def act(pilot: Pilot[None]) -> None:
        async def after(*keys: str) -> View:
            await pilot.press(*keys)
            return picture_of(pilot).view

        whole = View.whole(3400)
        assert await after("minus", "left", "right", "0") == whole
        assert await after("plus") == await after("minus", "equals_sign") == whole.zoomed(0.5)
        view = await after("plus", "plus")
        assert (await after("right")).start > view.start
        assert await after("left") == view
        assert (await after("left")).start < view.start
        assert await after("0") == whole
        worst = int(explanation.error.argmax())
        assert await after("1") == whole.around(worst, 0.25)
        for rank, key in enumerate("123"):
            await after("0")
            index = picture_of(pilot).peaks()[rank]
            view = await after(key)
            assert view.start <= index < view.start + view.size < 3400
        assert (await after(*["plus"] * 12)).size == LEAST

    on_screen(CompareScreen(word_detector, heard, samples), act)


def test_the_wheel_zooms_at_the_pointer(
    word_detector: Detector, heard: Heard, samples: Samples
) -> None:
    """At the left end the wheel zooms to the lowest frequencies, at the right to the highest."""

    async def act(pilot: Pilot[None]) -> None:
        picture = picture_of(pilot)
        right = picture.region.width - 1
        await pilot._post_mouse_events([MouseScrollUp], picture, offset=(0, 5))
        assert picture.view == View(0, 1700, 3400)
        await pilot._post_mouse_events([MouseScrollDown], picture, offset=(0, 5))
        assert picture.view.is_whole
        await pilot._post_mouse_events([MouseScrollUp], picture, offset=(right, 5))
        assert picture.view == View(1700, 1700, 3400)

    on_screen(CompareScreen(word_detector, heard, samples), act)


@pytest.mark.parametrize("key", ["escape", "c", "q"])
def test_three_keys_leave(
    word_detector: Detector, heard: Heard, samples: Samples, key: str
) -> None:
    """Escape, c and q go back; until then the app's own keys rest."""

    async def act(pilot: Pilot[None]) -> None:
        host = pilot.app
        assert isinstance(host, Host)
        await pilot.press("p")
        assert host.presses == 0
        await pilot.press(key, "p")
        assert not isinstance(host.screen, CompareScreen)
        assert host.presses == 1

    assert on_screen(CompareScreen(word_detector, heard, samples), act).return_code in (0, None)


def test_the_footer_tells_every_key(
    word_detector: Detector, heard: Heard, samples: Samples
) -> None:
    """Each key of the screen stands in its footer at the smallest size, and none of the app's."""

    async def act(pilot: Pilot[None]) -> None:
        footer = pilot.app.screen.query_one(Footer)
        keys = footer.query(FooterKey)
        assert [key.key_display for key in keys] == ["+", "-", "←", "→", "0", "1", "2", "3", "esc"]
        assert "own key" not in keys_of(pilot)
        assert max(key.region.right for key in keys) <= 80

    on_screen(CompareScreen(word_detector, heard, samples), act, (80, 24))


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
@pytest.mark.parametrize("size", [*SIZES, (60, 16), (40, 13), (200, 13)])
def test_every_size_has_the_whole_picture(
    word_detector: Detector, heard: Heard, samples: Samples, size: tuple[int, int], theme: str
) -> None:
    """Line, area, error, axis and the largest error are there, whole and zoomed, in any theme."""

    async def act(pilot: Pilot[None]) -> None:
        pilot.app.theme = theme
        for key in ("0", "1"):
            await pilot.press(key)
            picture = picture_of(pilot)
            lines = text_of(picture)
            assert all(len(line) == picture.size.width for line in lines)
            text = "\n".join(lines)
            assert re.search("[⠁-⣿]", text)
            assert re.search("[▁-█]", text)
            assert "error" in text
            assert "╵" in text
            assert "1,200 Hz" in text
            assert ("[" in text) == (key == "1")
            assert caption_of(pilot)
        await pilot.resize_terminal(size[1] * 2, size[0] // 2)
        await pilot.pause()
        assert len(text_of(picture_of(pilot))[0]) == size[1] * 2 - 4

    on_screen(CompareScreen(word_detector, heard, samples), act, size)


def test_a_tiny_window_says_so(word_detector: Detector, heard: Heard, samples: Samples) -> None:
    """Where there is no room for a picture, a sentence asks for more; with room it comes."""

    async def act(pilot: Pilot[None]) -> None:
        assert "Make the window larger." in "\n".join(text_of(picture_of(pilot)))
        await pilot.press("plus", "1", "right", "0")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "╵" in "\n".join(text_of(picture_of(pilot)))

    on_screen(CompareScreen(word_detector, heard, samples), act, (32, 9))


def test_what_cannot_be_compared_is_told(word_detector: Detector, heard: Heard) -> None:
    """Without an explanation a sentence says so, no key fails, and escape leaves."""
    nothing = np.zeros(3400, np.float32)
    segment = replace(heard.segment, samples=nothing, reason="digital zero")
    unscored = replace(heard, segment=segment, score=word_detector.score(segment))

    async def act(pilot: Pilot[None]) -> None:
        assert "cannot be scored" in "\n".join(text_of(picture_of(pilot)))
        assert "NOT SCORED" in text_of(pilot.app.screen.query_one(SegmentLine))[0]
        assert keys_of(pilot) == "esc back"
        await pilot.press("plus", "minus", "left", "right", "0", "1", "2", "3")
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, CompareScreen)

    on_screen(CompareScreen(word_detector, unscored, nothing), act)
