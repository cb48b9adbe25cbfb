"""Names of clusters: how they get into the model file, and the dialogue that asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from textual.app import App
from textual.events import Paste
from textual.widgets import Input, Static

from calibrate.fitting import Settings, calibrate
from model.alarms import AlarmRule
from model.detector import Detector
from model.errors import InputError, ModelError, OffkeyError
from model.segment import Segment
from model.storage import read_model, write_model
from monitor.app.naming import NameDialogue
from monitor.events import Heard
from monitor.naming import LONGEST_NAME, check_name, rename_cluster

Words = Callable[..., NDArray[np.float32]]
MARKUP = "[b]x[/b] [red"


@pytest.fixture
def model(word_detector: Detector, tmp_path: Path) -> Path:
    """Write the model of the words into the test's folder."""
    write_model(tmp_path / "m.offkey", word_detector)
    return tmp_path / "m.offkey"


# --- the file ------------------------------------------------------------------------------------


def test_a_name_goes_into_the_file_and_into_the_detector(model: Path) -> None:
    """Both have the name and the file's new digest; an empty name takes it away again."""
    named = rename_cluster(model, read_model(model), 1, "  late hiss ")
    assert named.clusters.given[1] == read_model(model).clusters.given[1] == "late hiss"
    assert named.digest == read_model(model).digest
    bare = rename_cluster(model, named, 1, " ")
    assert bare.clusters.given == read_model(model).clusters.given == (None,) * len(bare.clusters)


def test_the_detector_keeps_its_own_settings_and_the_file_the_models(model: Path) -> None:
    """A session's false-alarm rate and alarm rule stay the session's; what scores is untouched."""
    stored = read_model(model)
    cut = replace(stored.segmentation, alarm=AlarmRule(3, 7))
    session = replace(stored.with_false_alarm_rate(0.2), segmentation=cut)
    named = rename_cluster(model, session, 0, "hum")
    assert (named.false_alarm_rate, named.segmentation) == (0.2, cut)
    assert named.subspace is session.subspace
    after = read_model(model)
    assert after.false_alarm_rate == stored.false_alarm_rate
    assert after.segmentation == stored.segmentation


def test_names_given_by_another_process_meanwhile_are_kept(model: Path) -> None:
    """The file is read before it is written, and the detector gets those names too."""
    session = read_model(model)
    rename_cluster(model, read_model(model), 2, "theirs")
    named = rename_cluster(model, session, 0, "ours")
    assert named.clusters.given[0] == "ours"
    assert named.clusters.given[2] == "theirs"
    assert read_model(model).clusters.given == named.clusters.given


def test_a_model_that_was_calibrated_anew_is_not_overwritten(
    model: Path, tmp_path: Path, words_folder: Path, write_words: Callable[..., list[Path]]
) -> None:
    """Other recordings, or the same with other settings: one sentence, and the file stays."""
    session = read_model(model)
    write_words(tmp_path / "new", 30, 500)
    others = calibrate([str(tmp_path / "new")], Settings(maps=False))
    fewer = calibrate([str(words_folder)], Settings(maps=False, n_clusters=3))
    for detector in (others, fewer):
        write_model(model, detector)
        before = model.read_bytes()
        with pytest.raises(OffkeyError, match=r"m\.offkey was calibrated anew") as told:
            rename_cluster(model, session, 0, "hum")
        assert told.value.exit_code == 1
        assert model.read_bytes() == before


@pytest.mark.parametrize("cluster", [-1, 99])
def test_a_cluster_that_is_none_leaves_the_file(model: Path, cluster: int) -> None:
    """A wrong number is refused before anything is written."""
    before = model.read_bytes()
    with pytest.raises(InputError, match="no cluster"):
        rename_cluster(model, read_model(model), cluster, "hum")
    assert model.read_bytes() == before


def test_a_model_that_is_gone_is_told(model: Path) -> None:
    """A file that somebody moved away is not made anew."""
    session = read_model(model)
    model.unlink()
    with pytest.raises(ModelError, match="does not exist"):
        rename_cluster(model, session, 0, "hum")
    assert not model.exists()


@pytest.mark.parametrize(
    "name", ["", "x" * LONGEST_NAME, " " * 99, "\x1b[2J", MARKUP, "späte 日本"]
)
def test_names_are_data(model: Path, name: str) -> None:
    """Whatever can be shown is a name, and stays one when it is given again as it is kept."""
    check_name(name)
    named = rename_cluster(model, read_model(model), 0, name)
    kept = named.clusters.given[0]
    assert kept is None or kept.isprintable()
    again = rename_cluster(model, named, 0, kept or "")
    assert again.clusters.given == named.clusters.given


@pytest.mark.parametrize("name", ["x" * (LONGEST_NAME + 1), "x" + "\x00" * 10, "\ud800"])
def test_a_name_that_is_refused_leaves_the_file(model: Path, name: str) -> None:
    """Too long as it would be kept, or not to be written at all: the model stays as it was."""
    before = model.read_bytes()
    with pytest.raises(InputError, match="name has"):
        rename_cluster(model, read_model(model), 0, name)
    assert model.read_bytes() == before


# --- the dialogue --------------------------------------------------------------------------------


def hear(detector: Detector, samples: NDArray[np.float32]) -> Heard:
    """Score samples at the front end's rate as a segment."""
    segment = Segment(samples, 0.0, len(samples) / 6800)
    return Heard("file.wav", None, segment, detector.score(segment), 1)


def ask(
    detector: Detector, heard: Heard, *keys: str, size: tuple[int, int] = (80, 24)
) -> tuple[str, list[str | None]]:
    """Open the dialogue and press keys; gives what it says, and what it was left with.

    A text of more than one letter that begins with `=` is put into the name at once.
    """
    answers: list[str | None] = []
    texts: list[str] = []

    async def run() -> None:
        app: App[None] = App()
        async with app.run_test(size=size) as pilot:
            dialogue = NameDialogue(detector, heard)
            await app.push_screen(dialogue, answers.append)
            for key in keys:
                if key.startswith("="):
                    dialogue.query_one(Input).value = key[1:]
                else:
                    await pilot.press(key)
            await pilot.pause()
            texts.extend(str(widget.render()) for widget in dialogue.query(Static))
            texts.extend(str(box.border_title) for box in dialogue.query("Vertical"))

    asyncio.run(run())
    return "\n".join(texts), answers


def typed(text: str) -> Sequence[str]:
    """Keys of a text."""
    return ["space" if letter == " " else letter for letter in text]


@pytest.fixture
def word(word_detector: Detector, make_word: Words) -> Heard:
    """Hear a new word."""
    return hear(word_detector, make_word(700, 6800))


def nearest(heard: Heard) -> int:
    """Number of the nearest cluster."""
    assert heard.score.cluster is not None
    return heard.score.cluster


def named(detector: Detector, heard: Heard, name: str) -> Detector:
    """Give the nearest cluster a name."""
    return replace(detector, clusters=detector.clusters.renamed(nearest(heard), name))


def test_the_dialogue_says_which_cluster_it_is(word_detector: Detector, word: Heard) -> None:
    """Number, suggested name, members, share of anomalous ones and distance are on it."""
    cluster, clusters = nearest(word), word_detector.clusters
    said, answers = ask(named(word_detector, word, "hum"), word)
    assert f"name cluster {cluster}" in said
    assert clusters.suggested[cluster] in said
    assert f"{clusters.sizes[cluster]:,} of 60 recordings" in said
    assert f"{100 * clusters.anomalous_share[cluster]:.1f} %" in said
    assert f"at {word.score.cluster_distance:.1f} of its reach: within it" in said
    assert "Without a name" not in said
    assert not answers


def test_a_segment_unlike_any_is_called_so(word_detector: Detector) -> None:
    """Beyond the reach the dialogue does not say that it is within it."""
    noise = np.random.default_rng(0).normal(size=3400).astype(np.float32) * 0.1
    heard = hear(word_detector, noise)
    assert heard.score.unlike_any
    said, _ = ask(word_detector, heard)
    assert "unlike any" in said
    assert "within it" not in said


def test_enter_gives_the_name_that_was_typed(word_detector: Detector, word: Heard) -> None:
    """What is typed goes on behind the present name; blanks around it are dropped."""
    assert ask(word_detector, word, *typed("late hiss "), "enter")[1] == ["late hiss"]
    hum = named(word_detector, word, "hum")
    assert ask(hum, word, *typed(" low"), "enter")[1] == ["hum low"]


def test_letters_that_are_keys_of_the_app_are_typed(word_detector: Detector, word: Heard) -> None:
    """No letter does anything else than being typed, also after a click beside the name."""
    answers: list[str | None] = []
    quits: list[str] = []

    class Busy(App[None]):
        BINDINGS = [(key, f"leave('{key}')", "") for key in "qpnm/?"]  # noqa: RUF012

        def action_leave(self, key: str) -> None:
            quits.append(key)

    async def run() -> None:
        app = Busy()
        async with app.run_test(size=(80, 24)) as pilot:
            await app.push_screen(NameDialogue(word_detector, word), answers.append)
            await pilot.click("#facts")
            await pilot.press("q", "p", "n", "m", "slash", "question_mark", "enter")

    asyncio.run(run())
    assert answers == ["qpnm/?"]
    assert not quits


def test_escape_leaves_all_as_it_is(word_detector: Detector, word: Heard) -> None:
    """Whatever was typed, also what would be refused, is forgotten."""
    for text in ("", "hum", "x" * 60):
        assert ask(word_detector, word, f"={text}", "escape")[1] == [None]


def test_an_empty_name_takes_the_name_away(word_detector: Detector, word: Heard) -> None:
    """The dialogue says beforehand what the cluster is called then."""
    hum = named(word_detector, word, "hum")
    suggested = word_detector.clusters.suggested[nearest(word)]
    said, answers = ask(hum, word, *["backspace"] * 3)
    assert f"Without a name it is called {suggested}." in said
    assert not answers
    assert ask(hum, word, *["backspace"] * 3, "enter")[1] == [""]
    assert ask(hum, word, "ctrl+u", "space", "enter")[1] == [""]


def test_a_name_that_stays_is_nothing_to_save(word_detector: Detector, word: Heard) -> None:
    """Enter on the present name, or on none where there was none, gives None."""
    assert ask(word_detector, word, "enter")[1] == [None]
    assert ask(named(word_detector, word, "hum"), word, "enter")[1] == [None]


def test_a_refused_name_is_told_and_the_dialogue_stays(
    word_detector: Detector, word: Heard
) -> None:
    """One sentence while typing; Enter does nothing until the name is shorter."""
    keys = ("=" + "x" * LONGEST_NAME, "end", "x")
    said, answers = ask(word_detector, word, *keys, "enter")
    assert f"at most {LONGEST_NAME} characters; this one has {LONGEST_NAME + 1}" in said
    assert not answers
    _, answers = ask(word_detector, word, *keys, "enter", "backspace", "enter")
    assert answers == ["x" * LONGEST_NAME]


def test_markup_is_shown_as_it_is(word_detector: Detector, word: Heard) -> None:
    """A name with brackets is neither interpreted nor lost, typed or present."""
    assert ask(word_detector, word, *typed(MARKUP), "enter")[1] == [MARKUP]
    _, answers = ask(named(word_detector, word, MARKUP), word, "x", "enter")
    assert answers == [MARKUP + "x"]


def test_pasted_text_becomes_one_line(word_detector: Detector, word: Heard) -> None:
    """Of pasted lines the first is taken, and control characters are written out."""

    async def run() -> str:
        app: App[None] = App()
        async with app.run_test() as pilot:
            dialogue = NameDialogue(word_detector, word)
            await app.push_screen(dialogue)
            name = dialogue.query_one(Input)
            name.post_message(Paste("late\x1b hiss\nand more"))
            await pilot.pause()
            return name.value

    assert asyncio.run(run()) == r"late\x1b hiss"


def test_a_segment_without_a_score_has_no_cluster_to_name(word_detector: Detector) -> None:
    """The dialogue says so; Enter and letters do nothing, Escape leaves."""
    heard = hear(word_detector, np.zeros(3400, np.float32))
    said, answers = ask(word_detector, heard, "x", "enter")
    assert "was not scored" in said
    assert not answers
    assert ask(word_detector, heard, "escape")[1] == [None]


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
def test_the_dialogue_works_at_every_size(
    word_detector: Detector, word: Heard, size: tuple[int, int]
) -> None:
    """Also where it does not fit the name can be typed."""
    assert ask(word_detector, word, *typed("hum"), "enter", size=size)[1] == ["hum"]
