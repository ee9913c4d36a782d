"""Contact sheets with words: what a person looks at to believe the figures."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
TILE_PX = 96
GAP_PX = 6
LABEL_PX = 16
FONT_PX = 11


def labelled(pictures: Sequence[Image.Image], labels: Sequence[str], columns: int) -> Image.Image:
    """Pictures row by row with their prompts below."""
    return _grid([_tile([picture]) for picture in pictures], labels, columns)


def side_by_side(
    pairs: Sequence[tuple[Image.Image, Image.Image]], labels: Sequence[str], columns: int
) -> Image.Image:
    """Pairs of pictures, each pair close together with its label below."""
    return _grid([_tile(pair) for pair in pairs], labels, columns)


def _tile(pictures: Sequence[Image.Image]) -> Image.Image:
    tile = Image.new("RGB", (len(pictures) * TILE_PX, TILE_PX), "white")
    for place, picture in enumerate(pictures):
        shown = picture.resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC)
        tile.paste(shown, (place * TILE_PX, 0))
    return tile


def _grid(tiles: Sequence[Image.Image], labels: Sequence[str], columns: int) -> Image.Image:
    width = max((tile.width for tile in tiles), default=TILE_PX)
    rows = -(-len(tiles) // columns)
    cell = (width + GAP_PX, TILE_PX + LABEL_PX + GAP_PX)
    whole = Image.new("RGB", (columns * cell[0] + GAP_PX, rows * cell[1] + GAP_PX), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(FONT_PX)
    for index, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        left = GAP_PX + (index % columns) * cell[0]
        top = GAP_PX + (index // columns) * cell[1]
        whole.paste(tile, (left, top))
        place = (left + width // 2, top + TILE_PX + LABEL_PX // 2)
        pen.text(place, _fitting(label, font, width), fill="#555555", font=font, anchor="mm")
    return whole


def _fitting(label: str, font: Font, width: int) -> str:
    """As much of the label as fits. The font that ships with Pillow has Latin letters."""
    if font.getlength(label) <= width:
        return label
    while len(label) > 1 and font.getlength(label + "…") > width:
        label = label[:-1].rstrip()
    return label + "…"
