"""The recipe of a pair that reads documents, and scenes as well."""

from .architecture import Size
from .generator import Style
from .grid import Tiles
from .language import Lesson
from .loop import Budget
from .recipe import Pictures, Recipe, Stage
from .spelling import SPELLED_LABELS
from .tokenizer import DOCUMENT_SPEECH
from .worlds import Papers, Receipts

TILES = Tiles(side=448, patch=14, least=4, most=8)
"""At least four: on fewer the type of a long receipt is six to eight pixels wide, on these mostly 17."""
ONE_TILE = Tiles(side=448, patch=14, least=1, most=1)
SIDES = (270, 380)
"""Of squares of drawn papers that are shown on one tile, in pixels: about as large as what a tile shows of a whole one."""
TILLS = ("receipt",) * 6 + ("slip", "slip", "invoice", "form", "ticket")
BOARDS = ("prices", "sign", "bars", "curve", "pie")
_SQUARE = Style(small=True, sizes=((200, 200), (224, 224), (256, 256), (320, 320)))
_WIDE_TILES = (1, 3, 4, 5, 6, 7, 8, 9)

_PICTURES = {
    "crops": Pictures(Papers(TILLS, SIDES, grey=True), 10_000, 1, ONE_TILE),
    "boards": Pictures(Papers(BOARDS, SIDES), 1_000, 1, ONE_TILE),
    "scenes": Pictures(_SQUARE, 2_500, 1, ONE_TILE),
    "documents": Pictures(Papers(TILLS + BOARDS, grey=True, page=TILES), 4_500, 1, TILES),
    "wide-scenes": Pictures(Style(), 200, 1, TILES),
    "real-crops": Pictures(Receipts(TILES, parts=True), 4_000, 1, ONE_TILE),
    "real": Pictures(Receipts(TILES), 1_520, 1, TILES),
    "crops-check": Pictures(Papers(TILLS, SIDES), 250, 2, ONE_TILE),
    "scenes-check": Pictures(_SQUARE, 100, 2, ONE_TILE),
    "documents-check": Pictures(Papers(TILLS + BOARDS, page=TILES), 50, 2, TILES),
    "real-check": Pictures(Receipts(TILES, held_out=True), 60, 2, TILES),
    "real-crops-check": Pictures(Receipts(TILES, parts=True, held_out=True), 120, 2, ONE_TILE),
}
_SIZES = {
    "small": Size(vision_width=160, vision_layers=4, text_width=160, text_layers=4, text_mlp=256, text_kv_heads=5),
    "large": Size(vision_width=160, vision_layers=6, text_width=160, text_layers=16, text_mlp=1640, text_kv_heads=5),
}
_DENSE = ("crops", "documents", "documents", "documents", "real-crops", "real", "real", "boards", "scenes")
_DENSE_CHECKS = ("crops-check", "documents-check", "real-check", "real-crops-check", "scenes-check")
_ONE_TILE = ("crops", "crops", "real-crops", "real-crops", "boards", "scenes")
_ALL = ("documents", "documents", "real", "real", "crops", "wide-scenes", "scenes")
_MORE_PAPERS = ("documents",) * 4 + ("real",) * 3 + ("real-crops", "crops", "wide-scenes", "scenes")
_MORE_REAL = ("documents", "documents", "documents", "real", "real", "real", "real-crops", "wide-scenes", "scenes")

_FIND = {
    "after": 0.2,
    "begins": 0.1,
    "at": 0.1,
    "where": 0.1,
    "price": 0.15,
    "total": 0.15,
    "date": 0.1,
    "company": 0.1,
}
_LOOK = {"after": 0.06, "begins": 0.05, "at": 0.07, "where": 0.06, "first": 0.01, "last": 0.01}
_GOODS = {"price": 0.1, "unit_price": 0.03, "quantity": 0.04, "count": 0.01, "label": 0.08, "pieces": 0.01}
_HEAD = {"company": 0.15, "number": 0.03, "phone": 0.03, "registration": 0.01, "cashier": 0.02, "table": 0.01}
_SUMS = {"total": 0.2, "subtotal": 0.03, "tax": 0.03, "cash": 0.03, "change": 0.03, "rounding": 0.01, "discount": 0.01}
_TIMES = {"date": 0.15, "time": 0.03, "due date": 0.01}
_OTHERS = {
    "title": 0.02,
    "sign": 0.02,
    "customer": 0.01,
    "barcode": 0.01,
    "service": 0.01,
    "tax_number": 0.01,
    "value": 0.02,
    "largest": 0.01,
    "smallest": 0.01,
    "figures": 0.01,
}
READ_SHARES = _LOOK | _GOODS | _HEAD | _SUMS | _TIMES | _OTHERS
"""Kinds of questions about documents; only those that a document allows are asked, so common ones come more often."""
_FEW_BOXES = READ_SHARES | {"where": 0.01}
"""Hardly a box is asked for: it is a long answer of which few digits can be known for certain, so it makes a large part of the loss
and hides what is to be learned of other answers. Some are, so that what a box is is not forgotten.
"""
_SCENES_FIND = {"bind": 0.7, "where": 0.3}
_SCENES_READ = {"bind": 0.08, "read": 0.54, "where": 0.12, "colour": 0.14, "shape": 0.12}


def _tower(
    name: str,
    budget: Budget,
    sets: tuple[str, ...] = _DENSE,
    checks: tuple[str, ...] = _DENSE_CHECKS,
    least_points: int = 2,
    places: bool = True,
    text_mlp: int | None = None,
) -> Stage:
    """With real receipts among the pictures, unless it is told otherwise."""
    return Stage(
        name,
        budget,
        text_mlp=text_mlp,
        sets=sets,
        checks=checks,
        tries=8,
        least_points=least_points,
        places=places,
    )


def _one_tile(
    name: str, budget: Budget, scenes: dict[str, float], documents: dict[str, float], text_mlp: int | None = None
) -> Stage:
    """Pictures of one tile: on these a step has five times as many questions as on whole documents."""
    lesson = Lesson(
        sets=_ONE_TILE,
        pictures=16,
        questions=10,
        first_shares=scenes,
        last_shares=scenes,
        most_things=(4, 4),
        document_shares=documents,
        pointing=True,
    )
    return Stage(name, budget, lesson, text_mlp=text_mlp)


def _wide(
    name: str,
    budget: Budget,
    dropped: float,
    sets: tuple[str, ...] = _MORE_REAL,
    tiles: int = 9,
    text_mlp: int | None = None,
    guided: float = 0.0,
    asked: dict[str, float] = READ_SHARES,
) -> Stage:
    """Pictures of all sizes, so many that all together have at most `tiles`; in a share of batches most of them is missing."""
    lesson = Lesson(
        sets=sets,
        tiles=_WIDE_TILES,
        pictures=12,
        questions=16,
        first_shares=_SCENES_READ,
        last_shares=_SCENES_READ,
        most_things=(6, 6),
        dropped_share=dropped,
        guided_share=guided,
        document_shares=asked,
        pointing=True,
        most_tiles=tiles,
    )
    return Stage(name, budget, lesson, text_mlp=text_mlp)


RECEIPTS = Recipe(
    _PICTURES,
    {
        "small": (
            _tower(
                "drawn",
                Budget(1_200, peak_rate=4e-3, decay_from=0.8),
                ("crops",) * 4 + ("boards", "scenes"),
                ("crops-check", "scenes-check"),
                least_points=3,
                places=False,
            ),
            _tower("placed", Budget(4_800, peak_rate=3e-3, decay_from=0.0)),
            _one_tile("find", Budget(600, peak_rate=1e-3, decay_from=1.0), _SCENES_FIND, _FIND),
            _one_tile("read", Budget(1_300, peak_rate=1e-3, decay_from=1.0), _SCENES_READ, READ_SHARES),
            _wide("wide", Budget(1_900, peak_rate=1e-3, decay_from=0.3), 0.1, _ALL, tiles=18),
            _wide("papers", Budget(800, peak_rate=6e-4, decay_from=0.2), 0.1, _MORE_PAPERS, tiles=18, asked=_FEW_BOXES),
        ),
        "large": (
            _tower("deeper", Budget(4_000, peak_rate=2e-3, decay_from=0.0), text_mlp=256),
            _one_tile("deep", Budget(500, peak_rate=9e-4, decay_from=0.6), _SCENES_READ, READ_SHARES, text_mlp=256),
            _wide("again", Budget(4_600, peak_rate=7e-4, decay_from=0.2), 0.6, text_mlp=256, guided=0.7),
            _wide(
                "more",
                Budget(700, peak_rate=4e-4, decay_from=0.2),
                0.5,
                _MORE_PAPERS,
                text_mlp=256,
                guided=0.7,
                asked=_FEW_BOXES,
            ),
            _wide("broad", Budget(30, peak_rate=2e-4, warmup=5, decay_from=0.2), 0.6, guided=0.7),
        ),
    },
    _SIZES,
    kind="internvl_448",
    labels=SPELLED_LABELS,
    speech=DOCUMENT_SPEECH,
)
"""Budgets are steps."""
