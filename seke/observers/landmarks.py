"""MediaPipe's Face Landmarker: faces with their pose and blendshapes, and action units read from these."""

from __future__ import annotations

import atexit
import ctypes
import math
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.observers.networks import declaration_of, digest_of, quiet, runtime_of
from seke.observers.seen import Box, Face, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from seke.observers.seen import Report, ShownPart

NAME = "face-landmarker"
MOST_FACES = 10  # that are looked for; each takes about as long as a picture with one
# Of a picture's sides, added around it as a border where no face was found: a face that fills its picture is
# found only then.
BORDER = 0.25
# Digits of scores and probabilities that are written.
DIGITS = 4
# Where what MediaPipe reports of its own use is sent: a port of this machine at which nothing listens.
NOWHERE = "http://127.0.0.1:9"
# Networks that were not closed.
_OPEN: weakref.WeakSet[FaceLandmarker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what is open, else MediaPipe complains while the interpreter ends.

    It is registered before MediaPipe is loaded, so that it comes after what that does at the end itself.
    """
    for landmarker in list(_OPEN):
        with suppress(RuntimeError):
            landmarker.close()


def keep_reports_here() -> None:
    """Keep MediaPipe from telling its publisher how it is used, as it does by default.

    By its privacy notice these are metrics, and no pictures. It sends them by libcurl, which takes a proxy
    from the environment of the process. That is set past `os.environ`, so that no client in Python minds it.
    """
    environment = ctypes.CDLL(None)
    environment.setenv(b"https_proxy", NOWHERE.encode(), 1)
    for name in (b"no_proxy", b"NO_PROXY"):
        environment.unsetenv(name)


class FaceLandmarker:
    """Finds faces, and reports action units of one; see `PictureObserver`."""

    name = NAME

    def __init__(self, path: Path) -> None:
        """Load the network.

        Raises:
            engine.SekeError: what runs it is not installed.
            ValueError, RuntimeError: the file is no such network.
        """
        declared = declaration_of(NAME)
        self.question: str = declared["question"]
        self.units: Mapping[str, Mapping[str, Any]] = declared["units"]
        self.unseen = tuple(declared["unseen"])
        self.network = digest_of(path)
        keep_reports_here()
        self._mediapipe = runtime_of(NAME)
        tasks = self._mediapipe.tasks
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(path)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=MOST_FACES,
        )
        with quiet():
            self._landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        _OPEN.add(self)

    def close(self) -> None:
        """End the network's threads; it finds no more faces."""
        _OPEN.discard(self)
        self._landmarker.close()

    def faces(self, shown: ShownPart) -> tuple[Face, ...]:
        """Return the faces of a part of a picture, the one that is meant first (`in_order`)."""
        faces = self._faces(shown.pixels)
        if not faces:
            height, width = (round(BORDER * side) for side in shown.pixels.shape[:2])
            bordered = np.pad(shown.pixels, ((height, height), (width, width), (0, 0)))
            faces = self._faces(bordered, (width, height))
        return in_order(faces, shown.near)

    def _faces(self, pixels: NDArray[np.uint8], border: tuple[int, int] = (0, 0)) -> list[Face]:
        """Return the faces; border: its width at the sides, and at top and bottom."""
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)
        )
        result = self._landmarker.detect(image)
        height, width = pixels.shape[:2]
        faces = []
        for points, scores, matrix in zip(
            result.face_landmarks,
            result.face_blendshapes,
            result.facial_transformation_matrixes,
            strict=True,
        ):
            x, y = (np.array([getattr(point, axis) for point in points]) for axis in ("x", "y"))
            corner = (float(x.min()) * width, float(y.min()) * height)
            sides = (float(np.ptp(x)) * width, float(np.ptp(y)) * height)
            box = Box(corner[0] - border[0], corner[1] - border[1], *sides)
            named = {score.category_name: round(float(score.score), DIGITS) for score in scores}
            faces.append(Face(box, pose_of(np.asarray(matrix)), named))
        return faces

    def reports(self, shown: ShownPart, face: Face) -> Sequence[Report]:  # noqa: ARG002
        """Return one answer: how far each unit is there, None for those that no blendshape shows."""
        return ({**units_of(face.scores, self.units), **dict.fromkeys(self.unseen)},)

    def facts(self, face: Face) -> Mapping[str, Any]:
        """Return the pose, the blendshapes that units were read from, and the network."""
        names = dict.fromkeys(name for unit in self.units.values() for name in unit["of"])
        scores = {name: face.scores[name] for name in names}
        return {"pose": dict(face.pose), "blendshapes": scores, "network": self.network}


def units_of(scores: Mapping[str, float], units: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return action unit -> to which extent it is there, from 0 to 1.

    scores: by blendshape, from 0 to 1. units: by action unit the blendshapes whose mean is taken (`of`), and
    that mean where the unit is not there (`rest`), and where it is there in full (`full`).
    """
    extents = {}
    for unit, declared in units.items():
        score = sum(scores[name] for name in declared["of"]) / len(declared["of"])
        extent = (score - declared["rest"]) / (declared["full"] - declared["rest"])
        extents[unit] = round(min(max(extent, 0.0), 1.0), DIGITS)
    return extents


def pose_of(matrix: NDArray[Any]) -> dict[str, float]:
    """Return yaw, pitch and roll in degrees, as `Face` has them.

    matrix: (4, 4) from the face's axes (right in the picture, up, towards the camera) to the camera's.
    """
    nose = matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    angles = {
        "yaw": math.atan2(nose[0], nose[2]),
        "pitch": math.asin(min(max(float(nose[1]), -1.0), 1.0)),
        "roll": math.atan2(matrix[1, 0], matrix[0, 0]),
    }
    return {name: round(math.degrees(angle), 1) for name, angle in angles.items()}
