"""The page in a real Chromium: it opens, it is brushed, it plays, it draws, it filters."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.report.hearing import listen
from calibrate.report.page import make_page
from calibrate.report.session import read_session
from model.detector import Detector
from tests.chromium import Page, chromium, first_page

pytest.importorskip("aiohttp", reason="aiohttp is not installed")
pytest.importorskip("plotly", reason="plotly is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

NAME = "<script>window.hit=1<∕script>\"'><img src=x onerror=window.hit=1>"
ROWS = "[...document.querySelectorAll('#rows tbody tr')].map(row => row.innerText)"
CHOSEN = "document.getElementById('table-title').textContent"


class Report(Page):
    """The page with a report."""

    async def place_of(self, selector: str) -> dict[str, float]:
        """Scroll an element into sight and give where it is."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.value(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box: dict[str, float] = await self.value(
            f"(b => ({{x: b.x, y: b.y, width: b.width, height: b.height}}))"
            f"({found}.getBoundingClientRect())"
        )
        return box

    async def press_on(self, selector: str) -> None:
        """Click in the middle of an element."""
        box = await self.place_of(selector)
        await self.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def complaints(self) -> list[Any]:
        """Exceptions, refused scripts and styles, and whatever else the console is told."""
        found = self.seen("Runtime.exceptionThrown") + self.seen("Log.entryAdded")
        said = self.seen("Runtime.consoleAPICalled")
        return found + [one for one in said if one["type"] in ("error", "warning", "assert")]

    def fetched(self) -> set[str]:
        """Kinds of addresses that were asked for."""
        asked = self.seen("Network.requestWillBeSent")
        return {one["request"]["url"].partition(":")[0] for one in asked}


@pytest.fixture(scope="module")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Chromium; give the address of its DevTools."""
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as where:
        yield where


@contextlib.asynccontextmanager
async def opened(devtools: str, path: Path, width: int, scheme: str) -> AsyncIterator[Report]:
    """Open a file in Chromium's first page, and wait until all is in place."""
    async with first_page(devtools, Report) as page:
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        await page.call("Emulation.setDeviceMetricsOverride", **size)
        await page.call("Emulation.setScrollbarsHidden", hidden=True)
        wish = [{"name": "prefers-color-scheme", "value": scheme}]
        await page.call("Emulation.setEmulatedMedia", features=wish)
        await page.call("Page.navigate", url=path.as_uri())
        await page.wait_for("document.body?.dataset.ready === 'yes'")
        yield page
        await page.call("Page.navigate", url="about:blank")  # the next test begins from nothing


def in_chromium(
    devtools: str,
    path: Path,
    act: Callable[[Report], Awaitable[None]],
    width: int = 1400,
    scheme: str = "light",
) -> None:
    """Do something on the page; then nothing may have failed, or been asked of the network."""

    async def run() -> None:
        async with opened(devtools, path, width, scheme) as page:
            await act(page)
            assert page.complaints() == []
            assert page.fetched() <= {"file", "data", "blob"}
            assert await page.value("window.hit") is None

    asyncio.run(run())


@pytest.fixture(scope="module")
def report(
    word_detector: Detector, words_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Make a page with maps, audio, a session and names that are HTML; no pacmap is needed."""
    gallery, clusters = word_detector.gallery, word_detector.clusters
    assert gallery is not None
    grid = np.stack(np.divmod(np.arange(60), 10), axis=1).astype(np.float32)
    detector = replace(
        word_detector,
        maps={"features": grid, "profiles": grid[:, ::-1].copy()},
        gallery=replace(gallery, mapped=np.arange(60, dtype=np.int32)),
        clusters=clusters.renamed(0, NAME),
    )
    folder = tmp_path_factory.mktemp("report")
    lines = [
        {"type": "segment", "source": NAME, "time": None, "start_s": 2.0 * i, "duration_s": 0.5,
         "continues": False, "isolation_score": 0.0, "reconstruction_error": 1e-4,
         "p": 0.5 if i else 0.01, "verdict": "normal" if i else "anomalous", "cluster": 0,
         "profile": gallery.profiles[17 + i].tolist()}
        for i in range(20)
    ]  # fmt: skip
    log = folder / "night.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)))
    heard = listen(detector, [str(words_folder)], True, lambda *_: None)
    names = (f"{gallery.names[0]} {NAME}", *gallery.names[1:])
    assert detector.gallery is not None
    shown = replace(detector, gallery=replace(detector.gallery, names=names))
    path = folder / "report.html"
    path.write_text(make_page("words.offkey", shown, heard, read_session(log, shown)), "utf-8")
    return path


POINT = """((map, i) => {
  const where = document.getElementById(map), box = where.getBoundingClientRect();
  const {xaxis, yaxis} = where._fullLayout, row = mapped.indexOf(i), trace = where.data[0];
  const [x, y] = [xaxis.d2p(trace.x[row]), yaxis.d2p(trace.y[row])];
  return [box.x + xaxis._offset + x, box.y + yaxis._offset + y];
})"""
"""Where on the screen a sound's mark is."""


def test_a_brush_in_one_map_selects_in_the_other_and_in_the_table(
    devtools: str, report: Path
) -> None:
    """A box round two marks leaves those two bright in both maps and alone in the table."""

    async def act(page: Report) -> None:
        await page.place_of("#map-features")
        await page.wait_for("MAPS.every(name => mapOf(name).data)")
        ax, ay = await page.value(f"{POINT}('map-features', 0)")
        bx, by = await page.value(f"{POINT}('map-features', 1)")
        low, high = (min(ax, bx) - 12, min(ay, by) - 12), (max(ax, bx) + 12, max(ay, by) + 12)
        await page.drag(low, ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2), high)
        await page.wait_for(f"{CHOSEN} === '2 sounds chosen'")
        for name in ("features", "profiles"):
            rows = await page.value(f"mapOf('{name}').data[0].selectedpoints")
            assert await page.value(f"{rows}.map(row => mapped[row]).sort()") == [0, 1]
        rows = await page.value(ROWS)
        assert len(rows) == 2
        assert any("word 001" in row for row in rows)
        assert any("<script>window.hit=1" in row for row in rows)
        await page.press_on("#pick-none")
        await page.wait_for(f"{CHOSEN} === 'All sounds'")
        assert await page.value("mapOf('profiles').data[0].selectedpoints") is None

    in_chromium(devtools, report, act)


def test_a_click_on_a_mark_plays_the_sound_and_draws_it(devtools: str, report: Path) -> None:
    """The sound is heard, named, and drawn: four curves of the model's own numbers."""

    async def act(page: Report) -> None:
        await page.place_of("#map-profiles")
        await page.wait_for("MAPS.every(name => mapOf(name).data)")
        x, y = await page.value(f"{POINT}('map-profiles', 45)")
        await page.mouse("mouseMoved", x, y)
        await page.wait_for("!document.getElementById('tip').hidden")
        tip = await page.value("document.getElementById('tip').innerText")
        for words in ("word 045.wav", "group speaker 4", "isolation score", "p "):
            assert words in tip
        await page.click(x, y)
        await page.wait_for("document.body.dataset.played === '45'")
        assert "word 045" in await page.value("document.getElementById('sound-name').innerText")
        curves = await page.value("document.getElementById('spectrum').data.map(t => t.y.length)")
        assert curves == [288] * 4
        assert await page.value("document.querySelectorAll('#spectrum .lines path').length") >= 4
        assert await page.value("mapOf('features').layout.shapes.length") == 1

    in_chromium(devtools, report, act)


def test_the_table_filters_sorts_and_plays(devtools: str, report: Path) -> None:
    """Words narrow it down, a heading turns its order, a line plays its sound."""

    async def act(page: Report) -> None:
        await page.press_on("#filter")
        await page.call("Input.insertText", text="speaker 3 037")
        await page.wait_for(f"{CHOSEN} === '1 sound found'")
        assert "word 037" in (await page.value(ROWS))[0]
        await page.press_on("#rows tbody button")
        await page.wait_for("document.body.dataset.played === '37'")
        await page.value("document.getElementById('filter').value = ''")
        await page.press_on("#rows th[data-sort=isolation] button")
        scores = await page.value("listed.map(i => sounds.isolation[i])")
        assert len(scores) == 60
        assert scores == sorted(scores, reverse=True)
        await page.press_on("#rows th[data-sort=isolation] button")
        assert await page.value("listed.map(i => sounds.isolation[i])") == sorted(scores)

    in_chromium(devtools, report, act)


def test_a_cluster_is_chosen_from_its_portrait_and_heard(devtools: str, report: Path) -> None:
    """Its button selects its members; the oddest and the typical can be heard."""

    async def act(page: Report) -> None:
        await page.press_on('.choose[data-cluster="1"]')
        members = await page.value("all.filter(i => sounds.cluster[i] === 1)")
        await page.wait_for("state.selected !== null")
        assert await page.value("state.selected") == members
        await page.press_on(".way .sound")
        await page.wait_for("document.body.dataset.played !== undefined")
        assert await page.value("document.querySelector('.profile').data.length") == 3

    in_chromium(devtools, report, act)


def test_a_segment_of_the_session_leads_to_what_it_is_like(devtools: str, report: Path) -> None:
    """A click on the alarm in the time line names it and chooses its nearest recording."""

    async def act(page: Report) -> None:
        await page.place_of("#timeline")
        await page.wait_for("document.getElementById('timeline').data")
        x, y = await page.value(
            "((where) => { const box = where.getBoundingClientRect(), {xaxis, yaxis} = "
            "where._fullLayout; return [box.x + xaxis._offset + xaxis.d2p(where.data[0].x[0]), "
            "box.y + yaxis._offset + yaxis.d2p(where.data[0].y[0])]; })"
            "(document.getElementById('timeline'))"
        )
        await page.click(x, y)
        await page.wait_for("state.chosen === 17")
        said = await page.value("document.getElementById('session-words').innerText")
        assert "anomalous" in said
        assert "word 017.wav" in said
        await page.place_of("#map-features")
        await page.wait_for("MAPS.every(name => mapOf(name).data)")
        assert await page.value("mapOf('features').data[1].x.length") == 20
        await page.press_on("#show-session")
        await page.wait_for("mapOf('features').data[1].x.length === 0")

    in_chromium(devtools, report, act)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1400])
def test_every_part_is_drawn_in_any_window(
    devtools: str, report: Path, width: int, scheme: str
) -> None:
    """All figures come into being as one scrolls, nothing is wider than the window."""

    async def act(page: Report) -> None:
        background = await page.value("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(247, 246, 243)", "dark": "rgb(20, 23, 27)"}[scheme]
        n = await page.value("document.querySelectorAll('.map, .chart, .profile').length")
        for selector in (".map", ".chart", ".profile"):
            for i in range(await page.value(f"document.querySelectorAll('{selector}').length")):
                one = f"document.querySelectorAll('{selector}')[{i}]"
                await page.value(f"{one}.scrollIntoView({{behavior: 'instant'}})")
                await page.wait_for(f"{one}.querySelector('.main-svg') !== null")
        assert n == 2 + 5 + await page.value("data.portraits.length")
        assert await page.value("document.documentElement.scrollWidth") == width
        assert len(await page.picture()) > 10_000

    in_chromium(devtools, report, act, width, scheme)
