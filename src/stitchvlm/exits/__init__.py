"""When the small model's answer is good enough: one small file per policy."""

from stitchvlm.exits.base import ExitPolicy
from stitchvlm.exits.calibrated import CalibratedExit, Calibration
from stitchvlm.exits.parse import parse_exit
from stitchvlm.exits.see import SmallEarlyExit

__all__ = ["CalibratedExit", "Calibration", "ExitPolicy", "SmallEarlyExit", "parse_exit"]
