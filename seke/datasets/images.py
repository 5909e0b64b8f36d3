"""Picture files -> pictures as they are sent: upright, cropped to the view, small, without metadata.

Whatever a file says beside its pixels (EXIF, XMP, comments, profiles, thumbnails) stays here: the pixels are
decoded and encoded anew. The same file and view give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import stat
import threading
import warnings
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from engine import SekeError, View, did_you_mean, shown_view
from seke.observers.seen import Box, ShownPart
from seke.vision.messages import Picture

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image as Pixels

    from engine import Knowledge

# What Pillow calls a JPEG with further pictures behind it: the first is taken, which cameras show.
FIRST_OF_SEVERAL = "MPO"
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
# What Pillow reads only with the plugin pillow-heif, where that is installed.
PLUGIN_FORMAT, PLUGIN_ENDINGS = "HEIF", (".heic", ".heif")
ENDINGS = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"),
    *PLUGIN_ENDINGS,
)
MOST_BYTES = 50_000_000  # of a file; a photograph of 50 million pixels has half of that
# Below Pillow's own bound of 89 million. Cameras and phones make up to 8,688 x 5,792 or 8,256 x 6,192 pixels:
# 210 MB once decoded, at four bytes a pixel, and as much again where the file says that it is to be turned.
MOST_PIXELS = 52_000_000
# Of pictures whose colours are converted, which are there twice: with transparency, for print, of 16 bits.
MOST_CONVERTED_PIXELS = MOST_PIXELS // 2
LARGE_PIXELS = 8_000_000  # 32 MB decoded; of larger pictures one is worked on at a time
MOST_READS = 200_000  # of a file; 50 MB in pieces of 4 kB, which some encoders make, take some 50,000
STRIP = 256  # rows that are converted at once, so that few of them are there twice
# Pixels of the shorter side of a picture or a box.
LEAST_SIDE = 16
# Of the JPEG that is sent.
QUALITY = 90
WHITE = (255, 255, 255)
# Folders that systems and programs leave beside pictures; those that begin with a dot are such, too.
CLUTTER = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"}
# Pixels of the longest side of what networks on this machine are shown: a face that fills a tenth of it is
# still as large as what they take in, 256 pixels at most.
MOST_SHOWN = 2048
GAP = 16  # pixels between two pictures in one
# Kinds of pixels that are shown as they are meant; floating-point ones have no white.
MODES = (
    *("1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "LA", "La", "PA", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "I;16", "I;16B", "I;16L", "I;16N"),
)
# The only view of a base that declares none: the longest side in pixels, and what is shown around the box,
# as a share of its sides.
PLAIN = {"size": 768, "margin": 0.25}


_LARGE = threading.Lock()


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is nothing of a user's: `._a.jpg`, `__MACOSX`, `.thumbs`."""
    return name.startswith(".") or name.lower() in CLUTTER


class PictureError(SekeError):
    """A file that cannot be shown; `reason` is one word of why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _CountedReads(io.BufferedReader):
    """A file of not too many pieces: Pillow takes microseconds and memory for each, were it empty."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.path, self.reads = path, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MOST_READS:
            raise PictureError(
                "huge", f"{self.path}: is in more pieces than can be read (over {MOST_READS:,})"
            )
        return super().read(size)


def region_shown(view: View, box: Box | None, region: str) -> str:
    """Return the part that a picture is cut to; empty where it shows the whole.

    It is cut where the face's box is known and the view has the part.
    """
    return region if box is not None and _part_of(view, region) else ""


def _part_of(view: View, region: str) -> Sequence[float] | None:
    """Return left, top, right and bottom of a part, as shares of the face's box; None where there is none."""
    part: Sequence[float] | None = view.options.get("regions", {}).get(region.replace(" ", "-"))
    return part


def picture_of(
    path: Path, view: View, box: Box | None = None, region: str = "", *, whole: bool = False
) -> Picture:
    """Return a file as it is sent in a view.

    box: the face, with the view's margin around it; without one the whole picture is taken, as it is. region:
    the part of the box that is enlarged (see `region_shown`). whole: whether the face stands beside it, on
    the left, as high.

    Raises:
        PictureError: empty, missing, unreadable, unsupported, animated, huge, tiny; the message names the
        file.
    """
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        # Under one name, so that no earlier stage of a large picture is kept.
        region = region_shown(view, box, region)
        upright = _upright(_open(path, stack), path)
        if view.options.get("grey"):
            upright = upright.convert("L")
        pixels = _mirrored(_cut(upright, view, box, region, path), view)
        pixels = _sized(pixels, view, enlarged=bool(region))
        if region and whole:
            pixels = _side_by_side(_mirrored(_cut(upright, view, box, "", path), view), pixels)
        pixels = pixels.convert("RGB")
        # An encoder writes what stands in `info` (comments, profiles) anew.
        pixels.info.clear()
        encoded = io.BytesIO()
        pixels.save(encoded, "JPEG", quality=QUALITY, subsampling=0)
    data, detail = encoded.getvalue(), view.options.get("detail", "")
    # The same pixels at another detail are another look.
    digest = hashlib.sha256(data + detail.encode()).hexdigest()
    return Picture(data, "image/jpeg", *pixels.size, digest, detail)


def part_shown(path: Path, view: View, box: Box | None = None) -> ShownPart:
    """Return a file as observers on this machine are shown it: upright, in colour, cut to the view.

    box: as in `picture_of`.

    Raises:
        PictureError: as in `picture_of`.
    """
    import numpy as np
    from PIL.Image import Resampling

    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        upright = _upright(_open(path, stack), path)
        x, y, _, _ = _edges(upright, view, box, "", path) if box is not None else (0, 0, 0, 0)
        pixels = _cut(upright, view, box, "", path)
        scale = max(max(pixels.size) / MOST_SHOWN, 1.0)
        sides = (max(round(pixels.width / scale), 1), max(round(pixels.height / scale), 1))
        if scale > 1:
            pixels = pixels.resize(sides, Resampling.BOX)
        array = np.asarray(pixels.convert("RGB"))
    near = None
    if box is not None:
        near = Box((box.x - x) / scale, (box.y - y) / scale, box.width / scale, box.height / scale)
    return ShownPart(array, x, y, scale, near)


def _sized(pixels: Pixels, view: View, *, enlarged: bool) -> Pixels:
    """Return a picture whose longest side has at most the view's size and at least its `least` pixels.

    enlarged: whether a smaller one gets the view's size.
    """
    from PIL.Image import Resampling

    size, longest = view.options["size"], max(pixels.size)
    wanted = size if enlarged else min(max(longest, view.options.get("least", 0)), size)
    scale = wanted / longest
    if scale == 1:
        return pixels
    sides = (max(round(pixels.width * scale), 1), max(round(pixels.height * scale), 1))
    return pixels.resize(sides, Resampling.LANCZOS)


def _mirrored(pixels: Pixels, view: View) -> Pixels:
    """Return a picture as its view has it, left and right in their places or changed."""
    from PIL import ImageOps

    return ImageOps.mirror(pixels) if view.options.get("mirror") else pixels


def _side_by_side(face: Pixels, part: Pixels) -> Pixels:
    """Return two pictures in one: the face, as high as the part on its right, with a white gap."""
    from PIL import Image
    from PIL.Image import Resampling

    width = max(round(face.width * part.height / face.height), 1)
    both = Image.new("RGB", (width + GAP + part.width, part.height), WHITE)
    both.paste(face.resize((width, part.height), Resampling.LANCZOS).convert("RGB"), (0, 0))
    both.paste(part.convert("RGB"), (width + GAP, 0))
    return both


def _open(path: Path, stack: ExitStack) -> Pixels:
    """Open a file and decode it whole, within limits; a large one has its turn until the stack is closed."""
    from PIL import Image, UnidentifiedImageError

    formats = _formats()
    try:
        _check_file(path, path.stat())
        with _CountedReads(path) as file:
            image = Image.open(file, formats=formats)
            _check_size(path, image)
            if image.width * image.height > LARGE_PIXELS:
                stack.enter_context(_LARGE)
            if image.format != FIRST_OF_SEVERAL and getattr(image, "n_frames", 1) > 1:
                raise PictureError("animated", f"{path}: is animated or has several pages; give one picture")
            if image.mode not in MODES:
                raise PictureError(
                    "unsupported", f"{path}: has pixels of the kind {image.mode}; save it as PNG"
                )
            image.load()
    except FileNotFoundError:
        raise PictureError("missing", f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise PictureError("unsupported", f"{path}: {_unsupported(path, formats)}") from None
    except Image.DecompressionBombError:
        allowed = f"at most {MOST_PIXELS:,} in all are read"
        raise PictureError("huge", f"{path}: has more pixels than can be read safely; {allowed}") from None
    except PictureError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, TypeError, ArithmeticError) as error:
        raise PictureError("unreadable", f"{path}: cannot be read ({_plain(error)})") from None
    return image


@cache
def _formats() -> tuple[str, ...]:
    """Return what is read: what Pillow reads by itself, and HEIC where its plugin is installed at first."""
    try:
        plugin = import_module("pillow_heif")
    except ModuleNotFoundError:
        return FORMATS
    plugin.register_heif_opener()
    return (*FORMATS, PLUGIN_FORMAT)


def _unsupported(path: Path, formats: tuple[str, ...]) -> str:
    if path.suffix.lower() in PLUGIN_ENDINGS and PLUGIN_FORMAT not in formats:
        return "HEIC is read once pillow-heif is installed (pip install pillow-heif), or save it as JPEG"
    return f"is no picture of a kind that is read ({', '.join(formats)})"


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("unsupported", f"{path}: is a folder, a pipe or a device; allowed is a file")
    if not status.st_size:
        raise PictureError("empty", f"{path}: is empty")
    if status.st_size > MOST_BYTES:
        raise PictureError("huge", f"{path}: has {status.st_size:,} bytes; at most {MOST_BYTES:,} are read")


def _check_size(path: Path, image: Pixels) -> None:
    """Refuse by its head what is too large or too small; turned it has the same sides."""
    plain = image.mode in ("1", "L", "P") or (image.mode == "RGB" and "transparency" not in image.info)
    limit = MOST_PIXELS if plain else MOST_CONVERTED_PIXELS
    shape = f"{image.width:,} x {image.height:,} pixels"
    if image.width * image.height > limit:
        kind = "" if plain else f" of the kind {image.mode}"
        raise PictureError("huge", f"{path}: has {shape}; at most {limit:,} in all{kind} are read")
    if min(image.size) < LEAST_SIDE:
        raise PictureError("tiny", f"{path}: has {shape}; a side has {LEAST_SIDE} at least")


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _upright(image: Pixels, path: Path) -> Pixels:
    """Return the picture turned as its file says, in RGB or grey; what is transparent is white."""
    from PIL import ImageOps

    try:
        # In place: a copy of a large picture is what memory would not hold.
        ImageOps.exif_transpose(image, in_place=True)
        turned = image
        if turned.mode.startswith("I"):
            # Sixteen bits, which a plain conversion would cut off rather than scale.
            turned = turned.point(lambda value: value / 257).convert("L")
        plain = turned.mode in ("RGB", "L") and "transparency" not in turned.info
        upright = turned if plain else _on_white(turned)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, ArithmeticError, MemoryError) as error:
        raise PictureError("unreadable", f"{path}: cannot be read ({_plain(error)})") from None
    return upright


def _on_white(image: Pixels) -> Pixels:
    """Return a picture in RGB; what is transparent is white."""
    from PIL import Image

    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    upright = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        if clear:
            layer = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", layer.size, (*WHITE, 255)), layer)
        upright.paste(strip.convert("RGB"), (0, top))
    return upright


def _cut(image: Pixels, view: View, box: Box | None, region: str, path: Path) -> Pixels:
    if box is None:
        return image
    cropped: Pixels = image.crop(_edges(image, view, box, region, path))
    return cropped


def _edges(image: Pixels, view: View, box: Box, region: str, path: Path) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is shown around a face's box, or of a part of it."""
    part = _part_of(view, region)
    if part is None:
        margin = view.options.get("margin", 0.0)
        aside, above = box.width * margin, box.height * margin
        edges: tuple[float, ...] = (
            box.x - aside,
            box.y - above,
            box.x + box.width + aside,
            box.y + box.height + above,
        )
    else:
        edges = (
            box.x + part[0] * box.width,
            box.y + part[1] * box.height,
            box.x + part[2] * box.width,
            box.y + part[3] * box.height,
        )
    x0, y0 = max(round(edges[0]), 0), max(round(edges[1]), 0)
    x1, y1 = min(round(edges[2]), image.width), min(round(edges[3]), image.height)
    if min(x1 - x0, y1 - y0) < LEAST_SIDE:
        raise PictureError("tiny", f"{path}: its box leaves fewer than {LEAST_SIDE} pixels of the picture")
    return x0, y0, x1, y1


def view_of(base: Knowledge, name: str) -> View:
    """Return a view of a base, in whatever form it is asked about; the plain one where it declares none.

    Raises:
        engine.SekeError: a view that is not declared, of a base that declares some.
    """
    name = shown_view(name)
    if not base.views:
        return View(name=name, options=PLAIN)
    if name not in base.views:
        raise SekeError(f"no view is called {name!r}{did_you_mean(name, base.views)}")
    return base.views[name]
