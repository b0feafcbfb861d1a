"""Training of the embedded pair: drawn pictures, dense pretraining of the towers, then packed questions.

Needs torch, transformers, numpy and Pillow only, and fonts from a few Debian packages (`fonts.DEBIAN_PACKAGES`).
"""

from .recipes import RECIPES
from .run import train

__all__ = ["RECIPES", "train"]
