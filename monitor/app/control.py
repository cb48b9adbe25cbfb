"""Control: pause, rate, mute, bell, device, speed and place of a file; what can be done now."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from model.budget import LARGEST_RATE
from model.detector import Detector
from monitor.alarms import SoundAlarms, WindowAlarms
from monitor.app import words
from monitor.app.keys import Action
from monitor.app.teach import Teaching
from monitor.events import Heard
from monitor.history import ROWS

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, LARGEST_RATE)
_SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, math.inf)
_NEARLY = 1e-9
_OF_FILES = ("speed", "jump", "next_alarm")
"""Actions on a file that plays."""


class Control(Teaching):
    """Actions on the input and on what alarms."""

    def is_possible(self, call: str) -> bool:
        """Whether an action can be done now, by its call as a text."""
        name, _, rest = call.partition("(")
        parameters = (rest.startswith("True"),) if name == "pause" else ()
        return self.can(name, parameters)

    def can(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Whether an action can be done now on the main screen."""
        ended = self.engine.is_done or self.leaving
        if action == "pause":
            return not ended and parameters[0] is not self.stream.is_paused
        if action in _OF_FILES:
            return not ended and self.stream.player is not None
        if action == "device":
            return not ended and self.session.inputs.live is not None
        if action == "filter":
            return not self.field.display
        if action == "acknowledge":
            return self.alarm_line.heard is not None
        return True

    def is_of_use(self, action: Action) -> bool:
        """Whether an action is for the input that this session has."""
        if action.id == "device":
            return self.session.inputs.live is not None
        return action.call.partition("(")[0] not in _OF_FILES or self.stream.player is not None

    def action_pause(self, paused: bool) -> None:
        """Pause, or go on."""
        self.stream.pause(paused)
        self.refresh_bindings()
        self.tell_settings()

    def action_rate(self, steps: int) -> None:
        """The next false-alarm rate on the ladder, never below what the reference can promise."""
        detector = self.stream.detector
        if self.stream.budget is not None:
            self.warn(f"The rate keeps to the budget: {self.stream.budget.text}.")
            return
        asked = next_rate(detector, steps)
        if asked is None:
            smallest = detector.conformity.smallest_p
            self.warn(
                f"{detector.conformity.n:,} {detector.held_out_sounds} cannot promise fewer false "
                f"alarms than p ≤ {words.p_text(smallest)}."
                if steps < 0
                else "More alarms than that would be of no use."
            )
            return
        changed = detector.with_false_alarm_rate(asked)
        self.use(changed)
        rows = self.history.rows()
        newest = [heard for heard in rows if heard.number > rows[-1].number - ROWS] if rows else []
        whole = "this session" if len(newest) < ROWS else f"the last {ROWS:,} segments"
        would, were = alarms_at(newest, changed), sum(heard.alarm for heard in newest)
        self.tell(
            f"Alarm at p ≤ {words.p_text(asked)} from now on. At that rate {whole} would have had "
            f"{words.plural(would, 'alarm')}; so far it had {were:,}."
        )

    def action_mute(self) -> None:
        """Mute the nearest cluster of the segment, or no more."""
        heard = self.shown
        if heard is None or heard.score.cluster is None:
            self.warn("There is no segment with a nearest cluster.")
            return
        cluster = heard.score.cluster
        if cluster in self.muted:
            self.muted.remove(cluster)
            self.tell(f"Cluster {self.cluster_of(heard)} rings again.")
        else:
            self.muted.add(cluster)
            self.tell(
                f"Cluster {self.cluster_of(heard)} is muted: its alarms neither ring nor stay "
                "pinned. They are counted, logged and saved as before."
            )
            pinned = self.alarm_line.heard
            if pinned is not None and pinned.score.cluster in self.muted:
                self.action_acknowledge()
        self.tell_settings()
        self.table.refresh()

    def action_acknowledge(self) -> None:
        """The pinned alarm was seen."""
        self.alarm_line.clear()
        self.attention.entitle(None, self.stream.snapshot.state)
        self.refresh_bindings()

    def action_toggle_bell(self) -> None:
        """Ring for alarms, or not."""
        self.attention.rings = not self.attention.rings
        self.tell_settings()
        self.tell("The bell rings for alarms." if self.attention.rings else "The bell is off.")

    def action_device(self) -> None:
        """Choose another input device."""
        from monitor.app.picker import DevicePicker

        live = self.session.inputs.live
        if live is not None:
            self.push_screen(DevicePicker(live.name), self._picked)

    def _picked(self, device: str | None) -> None:
        live = self.session.inputs.live
        if device is not None and live is not None and device != live.name:
            self.run_worker(self._change_device(device), exclusive=True, group="device")

    async def _change_device(self, device: str) -> None:
        following = self.session.inputs.change(device)
        self.stream.pause(False)
        while not following.is_open and not self.engine.is_done:
            await asyncio.sleep(0.05)
        if following.refused is not None:
            self.warn(f"{following.refused} {following.name} is heard again.")
        elif following.is_open:
            self.tell(f"{following.name} is heard now.")

    def action_speed(self, steps: int) -> None:
        """Play the file faster or slower."""
        player = self.stream.player
        if player is None:
            return
        self.session.seeker.end()
        nearest = min(range(len(_SPEEDS)), key=lambda i: _distance(_SPEEDS[i], player.speed))
        player.speed = _SPEEDS[min(max(0, nearest + steps), len(_SPEEDS) - 1)]
        self.tell_settings()

    def action_jump(self, by_s: float) -> None:
        """Go on further on, or back."""
        player = self.stream.player
        if player is not None:
            player.jump(by_s)

    def action_next_alarm(self) -> None:
        """Play as fast as it goes to the next alarm."""
        player = self.stream.player
        if player is not None:
            self.session.seeker.seek(player)
            self.stream.pause(False)
            self.choose(None)
            self.tell_settings()


def _distance(speed: float, other: float) -> float:
    if math.isinf(speed) or math.isinf(other):
        return 0.0 if speed == other else math.inf
    return abs(math.log(speed / other))


def next_rate(detector: Detector, steps: int) -> float | None:
    """The next rate up or down; the smallest that can be promised ends the ladder; None beyond."""
    now, smallest = detector.false_alarm_rate, detector.conformity.smallest_p
    ladder = sorted({smallest, *(rate for rate in RATES if rate > smallest)})
    if steps > 0:
        return next((rate for rate in ladder if rate > now + _NEARLY), None)
    return next((rate for rate in reversed(ladder) if rate < now - _NEARLY), None)


def alarms_at(rows: Sequence[Heard], detector: Detector) -> int:
    """How many alarms segments would have raised at the rate of a detector."""
    from dataclasses import replace

    from model.detector import ANOMALOUS, NORMAL

    continuous = detector.segmentation.mode == "continuous"
    judge = WindowAlarms(detector.segmentation.alarm) if continuous else SoundAlarms()
    count, source = 0, ""
    for heard in rows:
        if heard.source != source:
            judge.flush()
            source = heard.source
        p = heard.score.p
        if p is not None:
            verdict = ANOMALOUS if p <= detector.false_alarm_rate else NORMAL
            heard = replace(heard, score=replace(heard.score, verdict=verdict))
        count += judge.judge(heard).alarm
        judge.finished()
    return count
