"""When the small model's answer is good enough: one small file per policy."""

from stitchvlm.exits.base import ExitPolicy
from stitchvlm.exits.see import SmallEarlyExit, parse_exit

__all__ = ["ExitPolicy", "SmallEarlyExit", "parse_exit"]
