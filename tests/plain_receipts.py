"""Plain receipts that the project's generator did not draw: Pillow's own font, one column of lines, amounts on the right."""

import random

from PIL import Image, ImageDraw, ImageFont

SHOPS = (
    "GREEN VALLEY MART",
    "HARBOUR BOOKS",
    "OLD MILL BAKERY",
    "SUNRISE HARDWARE",
    "LOTUS CAFE",
    "NORTH STAR PHARMACY",
)
GOODS = ("COFFEE", "BREAD", "PAINT", "NOTEBOOK", "TEA", "SOAP", "RICE 5KG", "LAMP", "PENCILS", "MILK")


def draw_receipt(rng: random.Random) -> tuple[Image.Image, dict[str, str]]:
    """A receipt and what its total, date and company are."""
    font = ImageFont.load_default(rng.choice((22, 24, 26)))
    prices = [rng.randint(100, 4000) for _ in range(rng.randint(3, 6))]
    shop, date = rng.choice(SHOPS), f"{rng.randint(1, 28):02d}/{rng.randint(1, 12):02d}/{rng.randint(2015, 2019)}"
    total = f"{sum(prices) / 100:.2f}"
    goods = zip(rng.sample(GOODS, len(prices)), prices, strict=True)
    lines = [(shop, ""), ("12 MAIN STREET", ""), (f"DATE: {date}", ""), ("", "")]
    lines += [(name, f"{price / 100:.2f}") for name, price in goods]
    lines += [("", ""), ("TOTAL", total), ("CASH", "500.00"), ("THANK YOU", "")]
    picture = Image.new("RGB", (460, 60 + 44 * len(lines)), (250, 250, 247))
    pen = ImageDraw.Draw(picture)
    for number, (left, right) in enumerate(lines):
        pen.text((30, 30 + 44 * number), left, (40, 40, 40), font)
        pen.text((430, 30 + 44 * number), right, (40, 40, 40), font, anchor="ra")
    return picture, {"total": total, "date": date, "company": shop}
