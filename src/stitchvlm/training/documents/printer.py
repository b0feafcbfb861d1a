"""Sets text on a page row by row, as a till or an office printer does: aligned, in columns, wrapped, emphasised."""

from dataclasses import dataclass, replace

from .page import BLACK, Ink, Mark, Page, Run, Tag, rectangle
from .typefaces import Type, typeface


@dataclass(frozen=True)
class Phrase:
    """A text and what its stretches stand for."""

    text: str
    tags: tuple[Tag, ...] = ()

    def wrap(self, type_: Type, room: float) -> list["Phrase"]:
        """The phrase in lines at most `room` pixels wide, broken at spaces; a longer word keeps a line of its own."""
        lines, begin, end = [], 0, 0
        for stop in [k for k, char in enumerate(self.text) if char == " "] + [len(self.text)]:
            if end > begin and type_.measure(self.text[begin:stop]) > room:
                lines.append(self._cut(begin, end))
                begin = end + 1
            end = stop
        return [*lines, self._cut(begin, end)]

    def _cut(self, begin: int, end: int) -> "Phrase":
        tags = tuple(
            Tag(tag.name, max(tag.begin, begin) - begin, min(tag.end, end) - begin)
            for tag in self.tags
            if tag.begin < end and tag.end > begin
        )
        return Phrase(self.text[begin:end], tags)


def phrase(*parts: "str | Phrase") -> Phrase:
    """The parts one after the other."""
    text, tags = "", []
    for part in parts:
        part = Phrase(part) if isinstance(part, str) else part
        tags += [Tag(tag.name, tag.begin + len(text), tag.end + len(text)) for tag in part.tags]
        text += part.text
    return Phrase(text, tuple(tags))


def tagged(name: str, text: str) -> Phrase:
    """A text that stands for what the name says."""
    return Phrase(text, (Tag(name, 0, len(text)),))


@dataclass(frozen=True)
class Setting:
    """How a document is set. `size` is the font's in pixels, `pitch` that of fixed type (0: proportional), `leading` the distance
    of baselines in heights of capitals, `margin` in pixels.
    """

    face: str
    bold_face: str
    size: int
    wide: float = 1.0
    tall: float = 1.0
    pitch: float = 0.0
    dots: int = 0
    heavy: bool = False
    leading: float = 1.7
    margin: int = 20
    rule: str = "-"
    ink: Ink = BLACK

    def type(self, emphasis: str = "") -> Type:
        """The type of an emphasis: any of the words bold, wide, tall, big, small in one string."""
        wide = self.wide * (2.0 if "wide" in emphasis else 1.0)
        tall = self.tall * (1.8 if "tall" in emphasis else 1.0)
        size, pitch = self.size, self.pitch
        for word, factor in (("big", 1.45), ("small", 0.82)):
            if word in emphasis:
                size, pitch = max(7, round(size * factor)), pitch * factor
        if "wide" in emphasis:
            pitch *= 2
        bold = "bold" in emphasis
        face = self.bold_face if bold and not self.pitch else self.face
        heavy = self.heavy or (bold and face == self.face)
        dots = round(self.dots * tall / self.tall)
        return typeface(face, size, round(wide, 2), round(tall, 2), round(pitch, 2), dots, heavy)


Cell = tuple[float, str, Phrase]
"""Where a phrase goes: x in pixels, "l", "c" or "r" for what of it lies there, and the phrase."""


class Printer:
    """Prints rows below each other on a page; `y` is where the next one begins."""

    def __init__(self, page: Page, setting: Setting) -> None:
        self.page, self.setting = page, setting
        self.left, self.right = float(setting.margin), float(page.width - setting.margin)
        self.y = float(setting.margin)
        self.ink = setting.ink

    @property
    def step(self) -> float:
        """From one baseline to the next, in pixels."""
        return self.setting.leading * self.setting.type().capitals

    def gap(self, lines: float = 0.5) -> None:
        """Leaves that many lines free."""
        self.y += lines * self.step

    def row(self, *cells: Cell, emphasis: str = "", inverted: bool = False) -> None:
        """Prints cells side by side."""
        type_ = self.setting.type(emphasis)
        step = self.setting.leading * type_.capitals
        baseline = round(self.y + (step + type_.capitals) / 2)
        ink = self.ink
        if inverted:
            bar = self.left - 4, self.y + 0.05 * step, self.right + 4, self.y + 0.95 * step
            self.page.printed.append(rectangle(*bar, ink))
            ink = (255, 255, 255)
        number = self.page.next_row()
        for x, align, content in cells:
            if not content.text.strip():
                continue
            start = x - {"l": 0.0, "c": 0.5, "r": 1.0}[align] * type_.measure(content.text)
            self.page.printed.append(Run(content.text, round(start), baseline, type_, ink, number, content.tags))
        self.y += step
        self.page.height = max(self.page.height, round(self.y))

    def underline(self) -> None:
        """Draws a line under the text printed last."""
        run = self.page.runs()[-1]
        x0, _, x1, y = run.box()
        self.page.printed.append(Mark("line", ((x0, y + 3), (x1, y + 3)), self.ink, 1))

    def decorate(self, x: float, text: str, emphasis: str = "") -> None:
        """Adds text that is no line of the document to the row printed last."""
        type_ = self.setting.type(emphasis)
        baseline = round(self.y - (self.setting.leading - 1) * type_.capitals / 2)
        self.page.printed.append(Run(text, round(x), baseline, type_, self.ink))

    def text(self, content: "Phrase | str", align: str = "l", emphasis: str = "", inverted: bool = False) -> None:
        """Prints a phrase over the width of the page, wrapped where it has to be."""
        content = phrase(content)
        type_ = self.setting.type(emphasis)
        x = {"l": self.left, "c": (self.left + self.right) / 2, "r": self.right}[align]
        for line in content.wrap(type_, self.right - self.left):
            self.row((x, align, line), emphasis=emphasis, inverted=inverted)

    def pair(
        self,
        left: "Phrase | str",
        right: "Phrase | str",
        emphasis: str = "",
        begin: float | None = None,
        end: float | None = None,
        align: str = "l",
        inverted: bool = False,
    ) -> None:
        """Prints a label and, at the right end of the row, what belongs to it.

        Without room for both, the label is wrapped and what belongs to it stands beside its last line.
        """
        left, right = phrase(left), phrase(right)
        begin = self.left if begin is None else begin
        end = self.right if end is None else end
        type_ = self.setting.type(emphasis)
        room = end - begin - type_.measure(right.text + " ")
        *before, last = left.wrap(type_, max(room, 0.3 * (end - begin)))
        for line in before:
            self.row((begin, "l", line), emphasis=emphasis)
        x = begin if align == "l" else max(begin, end - type_.measure(right.text + "   ") - type_.measure(last.text))
        if x + type_.measure(last.text + right.text) > end and right.text:
            self.row((begin, "l", last), emphasis=emphasis)
            last = Phrase("")
        self.row((x, "l", last), (end, "r", right), emphasis=emphasis, inverted=inverted)

    def rule(self, sign: str | None = None) -> None:
        """A separator over the whole width: the sign repeated, or a drawn line for "thin" and "thick"."""
        sign = self.setting.rule if sign is None else sign
        type_ = self.setting.type()
        if sign in ("thin", "thick"):
            y = round(self.y + 0.3 * self.step)
            width = 1 if sign == "thin" else 3
            self.page.printed.append(Mark("line", ((self.left, y), (self.right, y)), self.ink, width))
            self.y += 0.6 * self.step
            return
        count = int((self.right - self.left) / type_.measure(sign))
        baseline = round(self.y + (self.step + type_.capitals) / 2)
        self.page.printed.append(Run(sign * count, round(self.left), baseline, type_, self.ink))
        self.y += self.step

    def narrower(self, left: float, right: float) -> "Printer":
        """A printer for a part of the width that begins at the same height."""
        other = Printer(self.page, self.setting)
        other.left, other.right, other.y, other.ink = left, right, self.y, self.ink
        return other

    def with_setting(self, **changes: object) -> "Printer":
        """A printer at the same place with some of the setting changed."""
        other = Printer(self.page, replace(self.setting, **changes))
        other.left, other.right, other.y, other.ink = self.left, self.right, self.y, self.ink
        return other
