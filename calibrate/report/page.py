"""The page put together: what is shown as plain data, the template's words, the scripts inlined."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibrate.report.curves import column_hz
from calibrate.report.hearing import Heard
from calibrate.report.portraits import Portrait, band_middles_hz, parts, portraits
from calibrate.report.promises import promises
from calibrate.report.session import Session
from model.detector import Detector
from model.errors import as_text, shown
from model.gallery import Gallery

if TYPE_CHECKING:
    from jinja2 import Template

SCRIPTS = (
    *("base.js", "theme.js", "maps.js", "sound.js", "table.js"),
    *("portraits.js", "scores.js", "session.js", "main.js"),
)


def make_page(model: str, detector: Detector, heard: Heard | None, session: Session | None) -> str:
    """One self-contained page of HTML. Every name in it is escaped by the template."""
    from plotly.offline import get_plotlyjs

    own = "\n".join(_read(name) for name in SCRIPTS)
    scripts = [_harmless(get_plotlyjs()), _harmless(own)]
    drawn = portraits(detector) if detector.gallery else []
    return _template(_group_words(detector)).render(
        model=PurePath(model).name,
        detector=detector,
        card=detector.card,
        gallery=detector.gallery,
        made=_day(detector.card.created),
        portraits=drawn,
        promises=promises(detector) if detector.gallery else None,
        session=session,
        heard=heard,
        data=_data(detector, drawn, heard, session),
        clips=[*heard.clips.values()] if heard else [],
        curves=_curves(heard),
        css=_read("page.css"),
        scripts=scripts,
        digests=[_digest(script) for script in scripts],
    )


def _template(group_words: Callable[[str], str]) -> Template:
    """The template, which escapes what it is given, writes strict JSON and refuses unknown names.

    `group_words` says how the name of a group is written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("calibrate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "separators": (",", ":"),
        "sort_keys": False,
    }
    words = {"percent": _percent, "shown": shown, "span": _span, "group": group_words}
    environment.filters |= words
    return environment.get_template("page.jinja")


def _read(name: str) -> str:
    return files("calibrate.report").joinpath(name).read_text("utf-8")


def _harmless(script: str) -> str:
    """What would end a script stands only inside its strings: a backslash changes nothing there."""
    return "\n" + script.replace("</script", "<\\/script").replace("<!--", "<\\!--") + "\n"


def _digest(script: str) -> str:
    """For the page's own rule that no other script runs in it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"


def _span(seconds: float) -> str:
    """A length of time in its proper unit."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _day(created: str) -> str:
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def _curves(heard: Heard | None) -> str:
    """All curves one after the other, in base64."""
    if heard is None:
        return ""
    return base64.b64encode(b"".join(row.code for row in heard.curves.values())).decode()


def _data(
    detector: Detector, drawn: list[Portrait], heard: Heard | None, session: Session | None
) -> dict[str, Any]:
    """What the scripts draw, as JSON can hold it."""
    clusters, gallery = detector.clusters, detector.gallery
    limits = detector.thresholds
    return {
        "rate": detector.false_alarm_rate,
        "clusters": [clusters.name(i) for i in range(len(clusters))],
        "bands_hz": _rounded(np.array(band_middles_hz(detector))),
        "columns_hz": _rounded(column_hz(detector.front_end.frequencies_hz())),
        "parts": parts(detector),
        "isolation_threshold": _finite(limits.isolation_score),
        "reconstruction_threshold": _finite(limits.reconstruction_error),
        "sounds": _sounds(detector, gallery, heard) if gallery else None,
        "portraits": [_portrait(one) for one in drawn],
        "promises": _promises(detector) if gallery else None,
        "session": asdict(session) if session else None,
    }


def _promises(detector: Detector) -> dict[str, Any]:
    told, words = asdict(promises(detector)), _group_words(detector)
    for group in told["groups"]:
        group["name"] = words(group["name"])
    return told


def _group_words(detector: Detector) -> Callable[[str], str]:
    """How the name of a group is written everywhere on the page."""
    names = detector.gallery.groups if detector.gallery else ()
    words = dict(zip(names, without_shared_folder(names), strict=True))
    return lambda name: words.get(name, shown(name))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _portrait(one: Portrait) -> dict[str, Any]:
    curves = {name: _rounded(np.array(getattr(one, name))) for name in ("mean", "low", "high")}
    return {"number": one.number, **curves}


def _sounds(detector: Detector, gallery: Gallery, heard: Heard | None) -> dict[str, Any]:
    held_out = detector.conformity
    places = {name: [None] * held_out.n for name in detector.maps}
    for name, rows in detector.maps.items():
        for sound, place in zip(gallery.mapped.tolist(), rows.round(3).tolist(), strict=True):
            places[name][sound] = place
    clips = {sound: i for i, sound in enumerate(heard.clips)} if heard else {}
    curves = {sound: i for i, sound in enumerate(heard.curves)} if heard else {}
    drawn = list(heard.curves.values()) if heard else []
    return {
        "name": sound_names(gallery),
        "group": gallery.group_index().tolist(),
        "groups": without_shared_folder(gallery.groups),
        "cluster": gallery.cluster.tolist(),
        "p": _rounded(held_out.reference_p()),
        "isolation": _rounded(held_out.isolation),
        "reconstruction": _rounded(held_out.reconstruction),
        "places": places,
        "clip": [clips.get(i, -1) for i in range(held_out.n)],
        "curves": [curves.get(i, -1) for i in range(held_out.n)],
        "scale": [_rounded(np.array([row.level, row.error])) for row in drawn],
        "floor": _rounded(np.array([row.floor for row in drawn])),
    }


def sound_names(gallery: Gallery) -> list[str]:
    """Names without the folder that all share; of several sounds of a recording, their number."""
    short = without_shared_folder(gallery.names)
    several = len(set(gallery.recording.tolist())) < len(gallery.recording)
    pairs = zip(gallery.recording.tolist(), gallery.part.tolist(), strict=True)
    return [short[index] + (f" · {part + 1}" if several else "") for index, part in pairs]


def without_shared_folder(names: Sequence[str]) -> list[str]:
    """Paths, or other names, as they are to be read: without the folder that all lie in."""
    texts = [as_text(name) for name in names]
    try:
        folder = os.path.commonpath([os.path.dirname(text) for text in texts])
    except ValueError:
        folder = ""
    return [shown(os.path.relpath(text, folder) if folder else text) for text in texts]


def _rounded(values: NDArray[Any]) -> list[float]:
    """Four digits: more than any picture or table shows."""
    return [float(f"{value:.4g}") for value in values.tolist()]
