"""The way of answering of a command that asks about one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stitchvlm.methods import Method


def read_way(
    name: str, options: Sequence[str] | None, layer: int | None, large: str | None, max_tiles: int | None
) -> "Method":
    """The method of that name with its options, checked before anything heavy is read.

    Raises:
        ValueError: if there is no such method or option, the layer is given twice, or an option does nothing to one picture.
    """
    from stitchvlm.embedded import EMBEDDED_PAIR
    from stitchvlm.families import check_one_picture
    from stitchvlm.methods import make_method, method_class
    from stitchvlm.methods.options import check_layer_once, read_options

    of_method = read_options(method_class(name), options or ())
    check_layer_once(of_method, layer)
    method = make_method(name, **of_method)
    check_one_picture(large or EMBEDDED_PAIR[1], method, max_tiles)
    return method
