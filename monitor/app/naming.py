"""The dialogue that gives the cluster nearest to a segment a name."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from model.detector import Detector
from model.errors import InputError
from monitor.app.profile import reach_text
from monitor.app.words import printable
from monitor.events import Heard
from monitor.naming import check_name

_LABEL = 16
"""Width of the column of labels."""


class NameDialogue(ModalScreen[str | None]):
    """Asks for a name; gives it back, empty to take a name away, None where nothing is to change.

    Saving is up to the caller.
    """

    DEFAULT_CSS = """
    NameDialogue {
        align: center middle;

        Vertical {
            width: 68;
            max-width: 95%;
            height: auto;
            max-height: 100%;
            overflow-y: auto;
            padding: 0 2;
            border: round $primary;
            border-title-color: $text-primary;
            background: $surface;
        }

        Static {
            margin-top: 1;
        }

        Input {
            margin-top: 1;
            border: round $foreground 50%;
            border-title-color: $text-muted;
            background: $surface;
        }

        Input:focus {
            border: round $primary;
            background-tint: transparent;
        }

        #remark {
            margin-top: 0;
            padding: 0 1;
            color: $text-muted;
        }

        #remark.-refused {
            color: $text-error;
            text-style: bold;
        }

        #keys {
            color: $text-muted;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave")]

    def __init__(self, detector: Detector, heard: Heard) -> None:
        super().__init__()
        self._detector, self._heard = detector, heard
        cluster = heard.score.cluster
        self._present = "" if cluster is None else detector.clusters.given[cluster] or ""

    def compose(self) -> ComposeResult:
        """What the cluster is, the name, a remark, the keys."""
        cluster = self._heard.score.cluster
        with Vertical() as box:
            if cluster is None:
                box.border_title = Content("no cluster to name")
                yield Static("This segment was not scored: it is near to no cluster.", markup=False)
                yield Static("esc leaves.", id="keys", markup=False)
                return
            box.border_title = Content(f"name cluster {cluster}")
            yield Static(self._facts(cluster), id="facts", markup=False)
            name = Input(self._present, placeholder=self._suggested(cluster), select_on_focus=False)
            name.border_title = Content("name")
            yield name
            yield Static("", id="remark", markup=False)
            yield Static(
                "enter saves it in the model file, esc leaves all as it is.",
                id="keys",
                markup=False,
            )

    def on_mount(self) -> None:
        """Begin in the name, behind its last letter."""
        for name in self.query(Input):
            name.focus()
            name.cursor_position = len(name.value)
            self._remark(name.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what would be refused. Pasted control characters are written out."""
        if not event.value.isprintable():
            event.input.value = printable(event.value)
        self._remark(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the name back, unless it is refused."""
        if self._remark(event.value):
            name = event.value.strip()
            self.dismiss(None if name == self._present else name)

    def _remark(self, name: str) -> bool:
        """Show what is to be said of a name; returns whether a cluster can have it."""
        remark, cluster = self.query_one("#remark", Static), self._heard.score.cluster
        try:
            check_name(name)
        except InputError as error:
            remark.update(printable(str(error)))
            remark.add_class("-refused")
            return False
        remark.remove_class("-refused")
        unnamed = f"Without a name it is called {self._suggested(cluster or 0)}."
        remark.update("" if name.strip() else unnamed)
        return True

    def _suggested(self, cluster: int) -> str:
        return printable(self._detector.clusters.suggested[cluster])

    def _facts(self, cluster: int) -> str:
        """What is known of the cluster, in lines."""
        clusters, score = self._detector.clusters, self._heard.score
        continuous = self._detector.segmentation.mode == "continuous"
        things = "windows" if continuous else "recordings"
        reach = reach_text(score)
        kind = "unlike any" if score.unlike_any else "within it"
        if reach.startswith("just"):
            kind = kind.replace("within it", "like its members")
        rows = [
            ("suggested name", self._suggested(cluster)),
            ("members", f"{clusters.sizes[cluster]:,} of {sum(clusters.sizes):,} {things}"),
            ("of these", f"{100 * clusters.anomalous_share[cluster]:.1f} % are anomalous"),
            ("this segment", f"{reach}: {kind}"),
        ]
        lines = [f"{label:<{_LABEL}}{text}" for label, text in rows]
        return "\n".join(["Of all clusters, this segment is nearest to this one.", "", *lines])
