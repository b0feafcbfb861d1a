"""What a method asks for that the models of a family cannot do, or that does nothing there."""

from stitchvlm.errors import UnsuitableMethodError
from stitchvlm.families.base import Family
from stitchvlm.methods import Evidence, Method, TokenReducer


def check_suitable(family: Family, method: Method) -> None:
    """Raise an UnsuitableMethodError if no model of the family can do what the method asks for."""
    if Evidence.VISION in method.needs and not family.shows_vision:
        raise UnsuitableMethodError(
            f"{method.name} needs {Evidence.VISION.value}, which {family.name} models do not show: choose another method"
        )
    if isinstance(method, TokenReducer) and method.crops and not family.crops:
        raise UnsuitableMethodError(
            f"crop encodes only the rectangle around what stays of a picture that is seen whole, which {family.name} models "
            "cannot: leave it out, or use skip_tiles=true, which spares whole tiles"
        )


def idle_tile_options(family: Family, method: Method, max_tiles: int | None) -> str:
    """What is to be said of options that choose among tiles, to who asks about one picture; empty where it may have several."""
    named = " and ".join(method.tile_options) if isinstance(method, TokenReducer) else ""
    if not named or (family.cuts_pictures and max_tiles != 1):
        return ""
    does, them = ("choose", "them") if " and " in named else ("chooses", "it")
    if family.cuts_pictures:
        return (
            f"{named} {does} among tiles, and with max_tiles 1 a picture is one: leave {them} out, or allow more tiles"
        )
    way_out = " or use crop=true, which encodes a part of it" if family.crops else ""
    return f"{named} {does} among tiles, and {family.name} models see a picture as one: leave {them} out{way_out}"
