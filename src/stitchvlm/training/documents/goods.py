"""Goods that are sold in invented shops, by trade."""

GOODS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[int, int]]] = {
    "food": (
        tuple(
            "Fried|Steamed|Grilled|Spicy|Hot|Iced|Sweet & Sour|Black Pepper|Garlic|Curry|House|Large|Small|Fresh".split(
                "|"
            )
        ),
        tuple(
            (
                "Rice|Noodles|Chicken|Fish Head|Prawns|Squid|Beef|Lamb Chop|Tofu|Vegetables|Kailan|Soup|Omelette|"
                "Satay|Dumplings|"
                "Toast|Burger|Pasta|Salad|Pizza|Teh Tarik|Milk Tea|Coffee|Kopi O|Lemonade|Lime Juice|Plain Water|"
                "Barley|Latte|"
                "Cheesecake|Ice Cream|Nasi Lemak|Mee Goreng|Roti Canai|Laksa|Porridge|Egg Tart|Pancake|Mineral Water|"
                "Cola"
            ).split("|")
        ),
        ("", "", "", "(L)", "(S)", "(R)", "set", "x2 pcs", "- takeaway", "w/ egg", "no chili", "200g"),
        (100, 4500),
    ),
    "grocery": (
        tuple(
            "Gold|Fresh|Organic|Value|Royal|Family|Classic|Sunny|Green Hill|Blue Lake|Extra|Light|Frozen|Kampung".split(
                "|"
            )
        ),
        tuple(
            (
                "Milk|Full Cream Milk|White Bread|Wholemeal|Basmati Rice|Sugar|Flour|Eggs A|Cooking Oil|Butter|"
                "Cheddar|Yogurt|Bananas|"
                "Apples|Oranges|Carrots|Potatoes|Onions|Tomatoes|Lychees in Syrup|Sardines|Tuna Flakes|Instant Noodle|"
                "Soy Sauce|"
                "Chili Sauce|Ketchup|Biscuits|Wafer|Chocolate|Potato Chips|Tea Bags|3in1 Coffee|Mineral Water|"
                "Orange Juice|Soap|"
                "Shampoo|Toothpaste|Tissue Roll|Dish Wash|Detergent|Sponge|Garbage Bag|Cat Food|Plastic Bag"
            ).split("|")
        ),
        (
            "",
            "",
            "500G",
            "1KG",
            "250ML",
            "1L",
            "1.5L",
            "12S",
            "6X200ML",
            "5KG",
            "100'S",
            "330ML",
            "2PLY",
            "400G",
            "TWIN PK",
        ),
        (20, 3900),
    ),
    "hardware": (
        tuple(
            "PVC|Steel|Brass|Heavy Duty|Galv.|SS304|Rubber|LED|Copper|Double|Single|Auto|Wooden|Plastic|Mini|Pro".split(
                "|"
            )
        ),
        tuple(
            (
                "Hinge|Screw|Wall Plug|Bolt & Nut|Sink Tap|Pipe|Elbow|Tee Joint|Ball Valve|Cable Tie|Masking Tape|"
                "Paint Brush|"
                "Roller|Sand Paper|Hammer|Pliers|Drill Bit|Padlock|Door Knob|Bulb|Switch|Socket|Extension Wire|"
                "Bracket|Hose|"
                "Silicone|Wood Glue|Cement|Thinner|Gloves|Safety Shoes|Measuring Tape|Hacksaw Blade|Wire Mesh|Trowel|"
                "Bucket"
            ).split("|")
        ),
        (
            "",
            '1/2"',
            '3/4"',
            "20MM",
            "15MM X 3M",
            "10PCS",
            "#120",
            "5L",
            "6W",
            "2.5MM",
            "(BOX)",
            "4FT",
            "M8",
            "100M",
            "AH-12",
        ),
        (50, 9900),
    ),
    "stationery": (
        tuple("A4|Blue|Black|Red|Jumbo|Thick|Soft|Hard Cover|Recycled|Premium|Pocket|Clear|Coloured|Kids".split("|")),
        tuple(
            (
                "Ball Pen|Gel Pen|Pencil|Eraser|Sharpener|Marker|Highlighter|Note Book|Exercise Book|Copy Paper|"
                "Envelope|File|"
                "Ring Binder|Stapler|Staples|Glue Stick|Scissors|Ruler|Calculator|Sticky Notes|Receipt Book|Name Card|"
                "Photocopy|"
                "Laminating|Thermal Roll|Gift Wrap|Ribbon|Greeting Card|Paper Clip|Stamp Pad|Ink Cartridge|Sketch Book"
            ).split("|")
        ),
        ("", "", "0.5MM", "12PCS", "70GSM", "80GSM 500S", "(10/PKT)", "F5", "50S", "2B", "30CM", "57X60", "-BLUE"),
        (20, 5500),
    ),
    "pharmacy": (
        tuple("Adult|Baby|Herbal|Vita|Daily|Sensitive|Cool|Aloe|Rose|Max|Junior|Natural".split("|")),
        tuple(
            (
                "Vitamin C|Fish Oil|Cough Syrup|Plaster|Bandage|Cotton Wool|Face Mask|Lozenges|Eye Drops|Antacid|"
                "Multivitamin|"
                "Hand Cream|Body Lotion|Lip Balm|Sun Block|Shower Gel|Toothbrush|Mouth Wash|Diapers|Wet Wipes|"
                "Thermometer|"
                "Zinc Tablets|Calcium|Probiotic|Ointment|Saline|Gloves L|Hair Gel"
            ).split("|")
        ),
        ("", "30S", "60 TABS", "100ML", "500X3", "2X90S", "50G", "SPF50", "10'S", "1000MG", "250ML"),
        (290, 12900),
    ),
    "fuel": (
        tuple("Premium|Super|Synthetic|Front|Rear|Full|Express|Basic|Fleet".split("|")),
        tuple(
            (
                "Unleaded 95|Diesel|Engine Oil|Brake Fluid|Coolant|Wiper Blade|Car Wash|Vacuum|Tyre Repair|"
                "Wheel Balancing|Alignment|"
                "Battery|Air Filter|Oil Filter|Spark Plug|Bulb H4|Labour Charge|Air Freshener|Gear Oil|Number Plate"
            ).split("|")
        ),
        ("", "", "10W-30", "4L", "1L", "14IN", '16"', "12V", "LHS", "SET"),
        (300, 28000),
    ),
    "clothes": (
        tuple("Men's|Ladies|Slim|Cotton|Denim|Classic|Sport|Kids|Long Sleeve|V-Neck|Leather|Canvas|Striped".split("|")),
        tuple(
            (
                "Shirt|T-Shirt|Polo|Jeans|Shorts|Skirt|Dress|Jacket|Hoodie|Socks|Belt|Cap|Scarf|Sandals|Sneakers|"
                "Loafers|Backpack|"
                "Wallet|Handbag|Watch Strap|Sunglasses|Swimwear|Pyjamas|Tie|Gloves|Leggings"
            ).split("|")
        ),
        ("", "M", "XL", "SIZE 42", "BLK", "NAVY", "3PK", "UK 8", "FREE SZ", "L/GREY"),
        (590, 29900),
    ),
}
"""By trade: adjectives, nouns, sizes, and the range of prices in hundredths."""
