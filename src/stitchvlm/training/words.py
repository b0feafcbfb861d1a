"""The closed vocabularies of the drawn world: colours, nouns, sign words and tag items."""

COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((255, 0, 0), (220, 20, 40), (200, 30, 30)),
    "green": ((0, 128, 0), (0, 170, 60), (40, 150, 50), (0, 200, 0)),
    "blue": ((0, 0, 255), (30, 80, 220), (20, 60, 170), (65, 105, 225)),
    "yellow": ((255, 255, 0), (250, 220, 30), (240, 230, 60)),
    "orange": ((255, 165, 0), (255, 140, 0), (240, 125, 20)),
    "purple": ((128, 0, 128), (120, 40, 170), (140, 50, 200)),
    "pink": ((255, 192, 203), (255, 105, 180), (250, 150, 190)),
    "brown": ((139, 69, 19), (120, 72, 30), (150, 90, 45)),
    "black": ((0, 0, 0), (25, 25, 28)),
    "white": ((255, 255, 255), (245, 245, 242)),
    "gray": ((128, 128, 128), (150, 150, 150), (105, 105, 110)),
    "cyan": ((0, 255, 255), (0, 200, 210), (70, 215, 230)),
}
COLOUR_NAMES = tuple(COLOURS)

SHAPES = ("circle", "square", "triangle", "star", "diamond", "hexagon", "rectangle")
NOUNS = (*SHAPES, "sign", "tag")

CLEAR_ALPHABET = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"
FULL_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
GLYPHS = FULL_ALPHABET + "$."

SIGN_WORDS = tuple(
    (
        "OPEN CLOSED EXIT ENTER STOP SLOW PUSH PULL TAXI BUS HOTEL BANK CAFE BAR SHOP SALE PARK TOLL NORTH SOUTH "
        "EAST WEST GATE LIFT STAIRS MENU PIZZA SUSHI BAKERY MUSEUM LIBRARY SCHOOL POOL BEACH FERRY TRAIN METRO "
        "POLICE CLINIC CINEMA GARAGE DANGER QUIET WAIT HERE FREE NEW HOT ICE WATER FIRE ROOM DESK INFO TICKETS"
    ).split()
)
TAG_ITEMS = tuple("tea coffee milk bread rice honey apples juice salt eggs pasta lamp vase".split())

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You answer questions about pictures.",
    "Give only the answer.",
    "You are a careful reader.",
    "Answer with the text that you see.",
    "Be concise.",
)
THIRDS = (("top", "middle", "bottom"), ("left", "center", "right"))
"""What the thirds of a picture's height and width are called."""
