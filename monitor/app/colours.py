"""Colours of a theme, made to stand out: words in colour can be read on every background here."""

from __future__ import annotations

from textual.app import App
from textual.color import Color

from monitor.snapshot import Snapshot

LEAST_CONTRAST = 4.5
"""What WCAG 2 asks for of text."""
_WORDS = ("text-primary", "text-success", "text-warning", "text-error", "footer-key-foreground")
_GROUND = "panel"
"""Of the backgrounds of a theme the one on which words stand out least."""


class ThemedApp(App[Snapshot]):
    """An app whose themes can be read."""

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours; those of words are nearer to its foreground where they must be."""
        variables = super().get_css_variables()
        if not self.current_theme.ansi:
            variables |= readable(variables)
            self.theme_variables = variables
        return variables


def readable(variables: dict[str, str]) -> dict[str, str]:
    """The colours of words that stand out enough."""
    ground, foreground = (Color.parse(variables[name]) for name in (_GROUND, "foreground"))
    found = {}
    for name in _WORDS:
        colour, share = Color.parse(variables[name]), 0.0
        while share < 1 and contrast(colour.blend(foreground, share), ground) < LEAST_CONTRAST:
            share += 0.05
        found[name] = colour.blend(foreground, share).hex
    return found


def contrast(one: Color, other: Color) -> float:
    """Contrast ratio of WCAG 2, 1 to 21."""
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    parts = (value / 255 for value in colour.rgb)
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
