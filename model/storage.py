"""The one-file model: a safetensors file with a checked header. Reading runs no code.

Arrays; one metadata key with JSON, one with a SHA-256 over that JSON and over names, types, shapes
and bytes of the arrays. safetensors itself has no checksum: a flipped bit would load. The file is
long because what is written and how it is read again belong side by side.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.alarms import AlarmRule
from model.atomic import write_new, write_whole
from model.card import card_from
from model.conformity import Conformity
from model.detector import Detector
from model.errors import InputError, ModelError, shown
from model.features import make_front_end
from model.gallery import gallery_arrays, gallery_from, gallery_json
from model.isolation import IsolationForest
from model.profiles import ProfileClusters
from model.segment import Gate, Segmentation
from model.subspace import Subspace

FORMAT = 1
_JSON, _DIGEST = "offkey", "sha256"
Arrays = dict[str, NDArray[Any]]


def write_model(
    path: str | os.PathLike[str], detector: Detector, may_replace: bool = True
) -> Detector:
    """Write whole or not at all; give the detector with its digest.

    Raises OffkeyError where the file cannot be written, or something is there that must not be
    replaced: never what is no model. Then the model is kept beside it.
    """
    from safetensors.numpy import save

    arrays, text = _to_arrays(detector), json.dumps(_to_json(detector), ensure_ascii=True)
    digest = _digest(arrays, text)
    content = save(arrays, metadata={_JSON: text, _DIGEST: digest})
    target = Path(path).resolve()
    if may_replace and (not target.exists() or (target.is_file() and _was_model(target))):
        write_whole(target, content)
    else:
        write_new(path, content)
    return replace(detector, digest=digest)


def read_model(path: str | os.PathLike[str]) -> Detector:
    """Read and check a model. Raises ModelError with one sentence that says what is wrong."""
    arrays, text, digest = _read_parts(path)
    described: dict[str, Any] = _parse(path, text)
    if described.get("format", 0) > FORMAT:
        raise ModelError(
            f"{shown(path)} has model format {described['format']}, newer than this offkey knows.",
            "Update offkey.",
        )
    if _digest(arrays, text) != digest:
        raise ModelError(
            f"{shown(path)} was altered or damaged: its checksum does not match.",
            "Restore it from a copy, or calibrate anew.",
        )
    try:
        return replace(_from_parts(arrays, described), digest=digest)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{shown(path)} is whole, but was made by another version of offkey.",
            "Use that one, or calibrate anew.",
        ) from error


def _read_parts(path: str | os.PathLike[str]) -> tuple[Arrays, str, str]:
    from safetensors import SafetensorError, safe_open

    name = shown(path)
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        what = "does not exist" if missing else f"cannot be opened: {error.strerror}"
        raise ModelError(f"The model {name} {what}.", "offkey calibrate makes one.") from error
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"{name} is not an offkey model, or was cut short or altered.",
            "offkey calibrate makes one.",
        ) from error
    if _JSON not in metadata or _DIGEST not in metadata:
        raise ModelError(f"{name} is not an offkey model.", "offkey calibrate makes one.")
    return arrays, metadata[_JSON], metadata[_DIGEST]


def _parse(path: str | os.PathLike[str], text: str) -> dict[str, Any]:
    try:
        described = json.loads(text)
    except ValueError:
        described = None
    if not isinstance(described, dict) or not isinstance(described.get("format"), int):
        raise ModelError(
            f"{shown(path)} was altered or damaged: its description cannot be read.",
            "Restore it from a copy, or calibrate anew.",
        )
    return described


def _digest(arrays: Arrays, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _to_arrays(detector: Detector) -> Arrays:
    forest = detector.forest
    arrays: Arrays = {
        # Single precision loses nothing here: see Subspace.
        "mean": detector.subspace.mean.astype(np.float32),
        "components": detector.subspace.components.astype(np.float32),
        "forest_roots": forest.roots,
        "forest_feature": forest.feature,
        "forest_threshold": forest.threshold,
        "forest_children": forest.children,
        "forest_path_length": forest.path_length,
        "heldout_isolation": detector.conformity.isolation,
        "heldout_reconstruction": detector.conformity.reconstruction,
        "centroids": detector.clusters.centroids,
        "reach": detector.clusters.reach,
    }
    arrays |= gallery_arrays(detector.gallery)
    if detector.original is not None:
        arrays["original_isolation"] = detector.original.isolation
        arrays["original_reconstruction"] = detector.original.reconstruction
    arrays |= {f"map_{name}": coordinates for name, coordinates in detector.maps.items()}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _to_json(detector: Detector) -> dict[str, Any]:
    forest, clusters = detector.forest, detector.clusters
    return {
        "format": FORMAT,
        "front_end": detector.front_end.name,
        "duration_s": detector.front_end.duration_s,
        "rate_hz": detector.front_end.rate_hz,
        "segmentation": asdict(detector.segmentation),
        "false_alarm_rate": detector.false_alarm_rate,
        "forest": {
            "depth": forest.depth,
            "mean_path_length": forest.mean_path_length,
            "offset": forest.offset,
        },
        "clusters": {
            "sizes": clusters.sizes,
            "anomalous_share": clusters.anomalous_share,
            "suggested": clusters.suggested,
            "given": clusters.given,
        },
        "card": asdict(detector.card),
        "gallery": gallery_json(detector.gallery),
    }


def _from_parts(arrays: Arrays, described: dict[str, Any]) -> Detector:
    segmentation = dict(described["segmentation"])
    gate = Gate(**segmentation.pop("gate"))
    alarm = AlarmRule(**segmentation.pop("alarm", {}))  # older models say none
    clusters = {key: tuple(value) for key, value in described["clusters"].items()}
    return Detector(
        front_end=make_front_end(
            described["front_end"], described["duration_s"], described.get("rate_hz")
        ),
        segmentation=Segmentation(**segmentation, gate=gate, alarm=alarm),
        subspace=Subspace(
            arrays["mean"].astype(np.float64), arrays["components"].astype(np.float64)
        ),
        forest=IsolationForest(
            roots=arrays["forest_roots"],
            feature=arrays["forest_feature"],
            threshold=arrays["forest_threshold"],
            children=arrays["forest_children"],
            path_length=arrays["forest_path_length"],
            **described["forest"],
        ),
        conformity=Conformity(arrays["heldout_isolation"], arrays["heldout_reconstruction"]),
        clusters=ProfileClusters(arrays["centroids"], arrays["reach"], **clusters),
        false_alarm_rate=described["false_alarm_rate"],
        card=card_from(described["card"]),
        original=_original(arrays),
        maps={k.removeprefix("map_"): v for k, v in arrays.items() if k.startswith("map_")},
        gallery=gallery_from(arrays, described.get("gallery")),
    )


def _original(arrays: Arrays) -> Conformity | None:
    if "original_isolation" not in arrays:
        return None
    return Conformity(arrays["original_isolation"], arrays["original_reconstruction"])


def _was_model(path: Path) -> bool:
    """Whether a file is a model, be it damaged, or is at least called one."""
    if path.suffix == ".offkey":
        return True
    with path.open("rb") as file:
        return f'"{_JSON}"'.encode() in file.read(1 << 16)


def check_writable(path: str | os.PathLike[str], replace_existing: bool) -> None:
    """Refuse a target before the work begins. Raises InputError with the next step.

    Only a model is ever replaced: nobody loses a recording, or a device, by a slip of the hand.
    """
    target = Path(path).resolve()
    if not os.fspath(path) or target.is_dir():
        raise InputError("The model to write is not a file.", "Name one, such as six.offkey.")
    if target.exists() and not (target.is_file() and _was_model(target)):
        raise InputError(f"{shown(path)} is not a model and is not replaced.")
    if target.exists() and not replace_existing:
        raise InputError(f"{shown(path)} exists.", "Add --replace to make it anew.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"The folder {shown(target.parent)} does not exist or is not writable.")
