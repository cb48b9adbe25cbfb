"""The field in which a person says what is to be listed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class FilterField(Input):
    """Tells its two keys while it is typed in: the app's own rest meanwhile."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "keep the filter", key_display="enter"),
        Binding("escape", "app.back_out", "list all", key_display="esc"),
    ]
