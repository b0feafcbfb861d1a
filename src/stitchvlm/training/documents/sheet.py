"""Contact sheets: many documents side by side, as they are and with all their boxes drawn, for a person to judge."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from .document import Document
from .typefaces import typeface

_FIELD, _ITEM, _LINE, _GLYPH = (220, 30, 30), (30, 140, 60), (60, 90, 220), (170, 190, 250)


def outlined(picture: Image.Image, document: Document) -> Image.Image:
    """The picture in colour with its glyphs (pale blue), lines (blue), items (green) and fields (red, named) outlined."""
    shown = picture.convert("RGB")
    draw = ImageDraw.Draw(shown)
    for line in document.lines:
        for glyph in line.glyphs:
            draw.rectangle(glyph.box, outline=_GLYPH)
        draw.rectangle(line.box, outline=_LINE)
    for item in document.items:
        parts = (item.name, item.quantity, item.unit_price, item.price)
        boxes = [box for part in parts if part is not None for box in part.boxes]
        for box in (*boxes, *([item.figure] if item.figure else [])):
            draw.rectangle(box, outline=_ITEM, width=2)
    small = typeface("", 11)
    for name, written in document.fields.items():
        for k, box in enumerate(written.boxes):
            draw.rectangle(box, outline=_FIELD, width=2)
            x = box[0]
            for char in name if k == 0 else "":
                stamp = small.stamp(char)
                if stamp.ink is not None:
                    shown.paste(_FIELD, (round(x) + stamp.dx, round(box[1]) - 2 + stamp.dy), stamp.ink)
                x += small.advance(char)
    return shown


def contact_sheet(pictures: Sequence[Image.Image], columns: int, cell: tuple[int, int]) -> Image.Image:
    """The pictures in rows of `columns`, each shrunk to fit a cell of that width and height."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (cell[0] + 8), rows * (cell[1] + 8)), (255, 0, 255))
    for k, picture in enumerate(pictures):
        small = picture.convert("RGB")
        small.thumbnail(cell, Image.Resampling.BOX)
        sheet.paste(small, ((k % columns) * (cell[0] + 8), (k // columns) * (cell[1] + 8)))
    return sheet


def write_sheets(
    folder: str | Path, name: str, drawn: Sequence[tuple[Image.Image, Document]], columns: int = 6
) -> list[Path]:
    """Writes `name`.png and `name`-boxes.png into the folder and returns their paths."""
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    highest = max(picture.height / picture.width for picture, _ in drawn)
    cell = (480, min(960, round(480 * highest)))
    paths = [root / f"{name}.png", root / f"{name}-boxes.png"]
    for path, pictures in zip(paths, ([p for p, _ in drawn], [outlined(p, d) for p, d in drawn]), strict=True):
        contact_sheet(pictures, min(columns, len(drawn)), cell).save(path)
    return paths
