"""What a drawn picture holds: the ground truth that questions and dense labels are made from."""

from dataclasses import asdict, dataclass, field
from typing import Any

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Glyph:
    """One drawn character: its centre and size in picture pixels."""

    char: str
    x: float
    y: float
    width: float
    height: float
    begins: bool
    ends: bool

    @property
    def box(self) -> Box:
        """The rectangle that it takes up."""
        half_width, half_height = self.width / 2, self.height / 2
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height


@dataclass(frozen=True)
class Thing:
    """A labelled (or blank) shape, a sign or a price tag."""

    noun: str
    colour: str
    text: str
    item: str
    box: Box
    text_box: Box
    glyphs: tuple[Glyph, ...] = ()

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class Scene:
    """A picture's contents. `kind` is "objects", "signs" or "tags"."""

    kind: str
    width: int
    height: int
    things: tuple[Thing, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Scene":
        things = tuple(
            Thing(
                **{
                    **thing,
                    "box": tuple(thing["box"]),
                    "text_box": tuple(thing["text_box"]),
                    "glyphs": tuple(Glyph(**glyph) for glyph in thing["glyphs"]),
                }
            )
            for thing in data["things"]
        )
        return cls(data["kind"], data["width"], data["height"], things)
