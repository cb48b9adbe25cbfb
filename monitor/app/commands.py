"""The command palette: every action that can be done now, by name."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from monitor.app.keys import ACTIONS, Action

if TYPE_CHECKING:
    from monitor.app.app import MonitorApp


class Commands(Provider):
    """All actions with their keys."""

    @property
    def _screen_app(self) -> MonitorApp:
        return cast("MonitorApp", self.app)

    def _possible(self) -> list[tuple[str, Action]]:
        """Titles and actions."""
        app = self._screen_app
        return [
            (f"{action.help} ({app.keys.text(action.id)})", action)
            for action in ACTIONS
            if action.id != "commands" and app.is_possible(action.call)
        ]

    async def discover(self) -> Hits:
        """All of them."""
        for title, action in self._possible():
            yield DiscoveryHit(title, self._doing(action))

    async def search(self, query: str) -> Hits:
        """Those whose words match."""
        matcher = self.matcher(query)
        for title, action in self._possible():
            score = max(matcher.match(title), matcher.match(action.label))
            if score > 0:
                yield Hit(score, matcher.highlight(title), self._doing(action))

    def _doing(self, action: Action) -> partial[Coroutine[Any, Any, bool]]:
        return partial(self._screen_app.run_action, action.call)
