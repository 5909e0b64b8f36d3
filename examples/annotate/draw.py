"""Draw the faces of this folder: cartoons, which nobody's rights speak against.

python examples/annotate/draw.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIZE, SKIN, INK = 256, (242, 213, 180), (70, 45, 35)
# Brows: height of inner and outer end; eyes: how far open; mouth: corners, middle, how far open (pixels).
FACES = {
    "at-rest": ((88, 88), 8, (178, 178, 0)),
    "smile": ((86, 88), 6, (166, 190, 0)),
    "broad-smile": ((84, 86), 5, (160, 196, 14)),
    "brows-down": ((98, 84), 6, (180, 176, 0)),
    "startled": ((70, 70), 14, (180, 184, 34)),
    "downcast": ((80, 94), 6, (190, 174, 0)),
}


def face(brows: tuple[int, int], lids: int, mouth: tuple[int, int, int]) -> Image.Image:
    """Return a picture of a face."""
    picture = Image.new("RGB", (SIZE, SIZE), (205, 220, 230))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((48, 24, 208, 240), fill=SKIN, outline=INK, width=3)
    (inner, outer), (corners, middle, gap) = brows, mouth
    for side in (-1, 1):
        x = 128 + side * 36
        draw.line((128 + side * 16, inner, x + side * 22, outer), fill=INK, width=6)
        draw.ellipse((x - 16, 112 - lids, x + 16, 112 + lids), fill="white", outline=INK, width=2)
        draw.ellipse((x - 6, 112 - min(lids, 6), x + 6, 112 + min(lids, 6)), fill=INK)
    draw.line((128, 120, 120, 152, 132, 154), fill=INK, width=3)
    points = [
        (92 + 72 * t / 20, corners + (middle - corners) * (1 - ((t - 10) / 10) ** 2)) for t in range(21)
    ]
    if gap:
        lower = [(x, y + gap * (1 - ((x - 128) / 36) ** 2)) for x, y in reversed(points)]
        draw.polygon(points + lower, fill=(120, 40, 40), outline=INK)
    draw.line(points, fill=INK, width=4)
    return picture


if __name__ == "__main__":
    for name, features in FACES.items():
        face(*features).save(Path(__file__).parent / f"{name}.png", optimize=True)
