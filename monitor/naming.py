"""Giving a cluster a name, from the command line and from the screen."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from model.detector import Detector
from model.errors import InputError, OffkeyError, shown
from model.storage import read_model, write_model

LONGEST_NAME = 40
"""In characters, so that a name fits beside what the screen says of a cluster."""


def check_name(name: str) -> None:
    """Raises InputError for a name that a cluster cannot have; an empty one takes a name away."""
    try:
        n = len(shown(name.strip()))  # as it is kept: control characters are written out
    except UnicodeEncodeError as error:
        raise InputError("This name has characters that cannot be written to a file.") from error
    if n > LONGEST_NAME:
        raise InputError(f"A name has at most {LONGEST_NAME} characters; this one has {n:,}.")


def rename_cluster(
    model_path: str | os.PathLike[str], detector: Detector, cluster: int, name: str
) -> Detector:
    """Name a cluster in the model file and return the given detector with the file's names.

    The file is read again first, so that names given elsewhere meanwhile are kept. The detector
    keeps its own false-alarm rate and segmentation; the file keeps the model's. An empty name takes
    the name away. Raises OffkeyError where the file cannot be written, or has meanwhile been
    calibrated anew.
    """
    check_name(name)
    stored = read_model(model_path)
    if not is_same_calibration(stored, detector):
        raise OffkeyError(
            f"{shown(model_path)} was calibrated anew meanwhile; its clusters are others.",
            "Start again with the new model.",
        )
    clusters = stored.clusters.renamed(cluster, name)
    written = write_model(model_path, replace(stored, clusters=clusters))
    return replace(detector, clusters=clusters, digest=written.digest)


def is_same_calibration(one: Detector, other: Detector) -> bool:
    """Same reference set and, as settings may differ, same clusters."""
    return one.card.reference_digest == other.card.reference_digest and np.array_equal(
        one.clusters.centroids, other.clusters.centroids
    )
