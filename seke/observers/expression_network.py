"""The small expression network of the package `fer`: crops of a face -> distributions over its classes.

Its input is prepared as that package does: a square around the face, grey, from -1 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.observers.networks import declaration_of, digest_of, quiet, runtime_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from seke.observers.seen import Box, Face, Report, ShownPart

NAME = "fer"
# Crops that are looked at unless another number is asked for: of 61 posed faces 10 were wrong by one crop, 2
# by the mean of 16.
CROPS = 16
# Pixels of a side of what crops are taken from, so that a large face is made smaller once: some more than
# twice the network's.
REGION = 160
# Digits of probabilities that are written.
DIGITS = 5


class ExpressionNetwork:
    """Reports an expression as distributions, one a crop; see `PictureObserver`."""

    name = NAME

    def __init__(self, path: Path, crops: int = CROPS) -> None:
        """Load the network.

        Raises:
            engine.SekeError: what runs it is not installed, or the file is another network.
        """
        declared = declaration_of(NAME)
        self.question: str = declared["question"]
        self.variable: str = declared["variable"]
        self.classes: list[str] = declared["classes"]
        self._side: int = declared["side"]
        self._margin: float = declared["crops"]["margin"]
        self._moves = moves(crops, declared["crops"]["shift"], declared["crops"]["scale"])
        self.network = digest_of(path)
        runtime = runtime_of(NAME)
        try:
            with quiet():
                self._interpreter = runtime.Interpreter(model_path=str(path), num_threads=1)
                self._input, self._output = (
                    details()[0]
                    for details in (
                        self._interpreter.get_input_details,
                        self._interpreter.get_output_details,
                    )
                )
                sizes = [*self._input["shape"].tolist(), *self._output["shape"].tolist()]
                self._interpreter.resize_tensor_input(
                    self._input["index"], [crops, self._side, self._side, 1]
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise SekeError(f"{path}: is no network that can be run ({error})") from None
        wanted = [1, self._side, self._side, 1, 1, len(self.classes)]
        if sizes != wanted:
            raise SekeError(f"{path}: is another network: sizes {sizes}; allowed are {wanted}")

    def reports(self, shown: ShownPart, face: Face) -> Sequence[Report]:
        """Return one distribution for each crop."""
        crops = crops_of(shown.pixels, face.box, self._side, self._margin, self._moves)
        return [
            {self.variable: dict(zip(self.classes, map(float, row), strict=True))}
            for row in self.probabilities(crops).round(DIGITS)
        ]

    def facts(self, face: Face) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the network."""
        return {"network": self.network}

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return P(class | crop), (N, K); crops: (N, S, S) grey from 0 to 255, as many as were asked for."""
        scaled = (crops.astype(np.float32) / 255 - 0.5) * 2
        self._interpreter.set_tensor(self._input["index"], scaled[..., None])
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"]), dtype=np.float64)


def moves(count: int, shift: float, scale: float) -> NDArray[np.float64]:
    """Return how each crop is moved, (N, 4): right, down, made larger (shares of the side), mirrored.

    The first is as it is; the others are the same for every face, so that a picture is always seen alike.
    """
    drawn = np.random.default_rng(0).uniform(-1, 1, (count, 3)) * (shift, shift, scale)
    drawn[0] = 0
    return np.concatenate([drawn, np.arange(count)[:, None] % 2], axis=1)


def crops_of(
    pixels: NDArray[np.uint8], box: Box, side: int, margin: float, crop_moves: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return crops of a face, (N, S, S), grey from 0 to 255.

    pixels: (H, W, 3); beyond their edge the last pixels go on. side: S. margin: of the longer side of the
    box, added on each side. crop_moves: (N, 4) as `moves` returns them.
    """
    from PIL import Image, ImageOps
    from PIL.Image import Resampling

    longer = max(box.width, box.height)
    middle = (box.x + box.width / 2, box.y + box.height / 2)
    half = longer * (0.5 + margin)
    reach = half * (1 + np.abs(crop_moves[:, 2]).max()) + longer * np.abs(crop_moves[:, :2]).max() + 1
    rows, columns = (
        np.clip(np.arange(round(centre - reach), round(centre + reach) + 1), 0, size - 1)
        for centre, size in zip(reversed(middle), pixels.shape[:2], strict=True)
    )
    corner = (round(middle[0] - reach), round(middle[1] - reach))
    region = Image.fromarray(pixels[np.ix_(rows, columns)]).convert("L")
    scale = (REGION / region.width, REGION / region.height)
    region = region.resize((REGION, REGION), Resampling.BILINEAR)
    crops = []
    for right, down, larger, mirrored in crop_moves.tolist():
        moved = half * (1 + larger)
        x, y = middle[0] + right * longer - corner[0], middle[1] + down * longer - corner[1]
        edges = (
            (x - moved) * scale[0],
            (y - moved) * scale[1],
            (x + moved) * scale[0],
            (y + moved) * scale[1],
        )
        crop = region.resize((side, side), Resampling.BILINEAR, box=edges)
        crops.append(np.asarray(ImageOps.mirror(crop) if mirrored else crop))
    return np.stack(crops)
