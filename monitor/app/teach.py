"""Teaching: naming a cluster, marking a segment as normal. Nothing changes silently."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from model.detector import NOT_SCORED
from model.errors import OffkeyError
from monitor.app import words
from monitor.app.lookback import LookingBack
from monitor.events import Heard

if TYPE_CHECKING:
    from model.detector import Detector
    from monitor.marks import Marks

_NO_FILE = "The demo's model has no file: calibrate one of your own with offkey calibrate."


class Teaching(LookingBack):
    """Actions that a model file remembers."""

    _marks: Marks | None = None

    @property
    def mark_count(self) -> int:
        """Sounds marked as normal, in all sessions, that the model has not taken in yet."""
        return 0 if self._marks is None else self._marks.waiting(self.stream.detector)

    def open_marks(self) -> None:
        """Look at what was marked before, where there is a model file."""
        from monitor.marks import Marks

        if self.session.model_path is None:
            return
        try:
            self._marks = Marks(self.session.model_path)
        except OffkeyError as error:
            self.warn(str(error))

    def action_name(self) -> None:
        """Name the nearest cluster of the segment."""
        from monitor.app.naming import NameDialogue

        heard = self.shown
        if self.session.model_path is None:
            self.warn(_NO_FILE)
        elif heard is None or heard.score.cluster is None:
            self.warn("There is no segment with a nearest cluster.")
        else:
            cluster = heard.score.cluster
            dialogue = NameDialogue(self.stream.detector, heard)
            self.push_screen(dialogue, lambda name: self._named(cluster, name))

    def _named(self, cluster: int, name: str | None) -> None:
        if name is not None:
            self.run_worker(self._rename(cluster, name), exclusive=True, group="name")

    async def _rename(self, cluster: int, name: str) -> None:
        from monitor.naming import rename_cluster

        path, detector = self.session.model_path or "", self.stream.detector
        try:
            renamed = await asyncio.to_thread(rename_cluster, path, detector, cluster, name)
        except OffkeyError as error:
            self.warn(str(error))
            return
        self._call_anew(renamed)
        shown = renamed.clusters.name(cluster)
        self.tell(f'Cluster {cluster} is now called "{shown}", in {path} too.')

    def _call_anew(self, renamed: Detector) -> None:
        """Take the names, wherever they are shown; what else was set meanwhile stays."""
        before, clusters = self.stream.detector, renamed.clusters
        for number in range(len(clusters)):
            if clusters.name(number) != before.clusters.name(number):
                self.table.names[number] = clusters.name(number)
        self.use(replace(before, clusters=clusters, digest=renamed.digest))
        self.table.reload(self.history.rows())
        self.alarm_line.redraw()
        self.attention.entitle(self.alarm_line.heard, self.stream.snapshot.state)

    def action_mark(self) -> None:
        """Mark the segment as normal; the one that was marked last: not any more."""
        heard = self.shown
        if self._marks is None:
            self.warn(_NO_FILE)
        elif heard is not None and self.marked and self.marked[-1] == heard.number:
            self._unmark(self._marks)
        elif heard is not None and heard.number in self.marked:
            self.tell("It is marked already. Only the last mark can be taken back here.")
        elif heard is not None and heard.score.verdict == NOT_SCORED:
            self.warn("It was not scored: there is nothing to learn from it.")
        else:
            self._mark(self._marks)

    def _unmark(self, marks: Marks) -> None:
        try:
            marks.remove_last()
        except OffkeyError as error:
            self.warn(str(error))
            return
        self.marked.pop()
        self._tell_marks("The mark is taken back")

    def _mark(self, marks: Marks) -> None:
        found = self.sound_of(self.shown)
        if found is None:
            return
        heard, samples = found
        try:
            is_new = marks.add(heard, samples, self.stream.detector)
        except OffkeyError as error:
            self.warn(str(error))
            return
        if not is_new:
            self.tell("This sound is marked as normal already, from an earlier session.")
            return
        self.marked.append(heard.number)
        self._tell_marks(f"{words.when_text(heard)} is marked as normal")

    def _tell_marks(self, done: str) -> None:
        self.tell_settings()
        self.table.refresh()
        count = self.mark_count
        text = f"{done}: {words.plural(count, 'marked sound')} so far."
        if count:
            them = "it" if count == 1 else "them"
            text += f" Nothing changes before offkey calibrate --add-marked takes {them} in. "
            text += self._would_become(them)
        self.tell(text)

    def _would_become(self, them: str) -> str:
        detector = self.stream.detector
        if self._marks is None:
            return ""
        try:
            now, then = detector.thresholds, self._marks.thresholds_with(detector)
        except OffkeyError as error:
            return str(error)
        isolation = words.isolation_text
        mean = words.reconstruction_text
        return (
            f"With {them} the thresholds would be about: "
            f"isolation {isolation(now.isolation_score)} → {isolation(then.isolation_score)}, "
            f"reconstruction {mean(now.reconstruction_error)} → "
            f"{mean(then.reconstruction_error)}."
        )

    def cluster_of(self, heard: Heard) -> str:
        """The nearest cluster in words, by the name that it has now."""
        score = heard.score
        name = self.table.names.get(score.cluster or 0, score.cluster_name or "")
        return f'{score.cluster} "{words.printable(name)}"'
