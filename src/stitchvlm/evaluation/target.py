"""What an exit is fitted to, as users write it."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["exit", "accuracy-loss", "seconds"]


@dataclass(frozen=True)
class Target:
    """What a threshold is fitted to: a share of exits, a loss of accuracy, or mean seconds per question."""

    kind: Kind
    value: float

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``exit=0.4``, ``accuracy-loss=1%`` or ``seconds=0.5``.

        Raises:
            ValueError: if it is none of these.
        """
        kind, _, value = text.partition("=")
        number, scale = (value[:-1], 0.01) if value.endswith("%") and kind != "seconds" else (value, 1.0)
        try:
            if kind not in get_args(Kind):
                raise ValueError
            return cls(kind, float(number) * scale)  # type: ignore[arg-type]
        except ValueError:
            raise ValueError(f"a target is exit=SHARE, accuracy-loss=SHARE or seconds=NUMBER, not {text!r}") from None
