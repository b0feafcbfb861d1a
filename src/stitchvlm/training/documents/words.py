"""Words that invented documents are put together from: syllables of names, trades, goods, streets and set phrases."""

ASIAN = tuple(
    (
        "AIK BAN CHEE CHIN CHONG ENG FATT FONG GUAN HENG HOCK HONG HUP JIT KEAT KEE KIAN KOK LAI LEK LIAN LOONG MENG MIN "
        "NAM ONN PENG POH SENG SHENG SIN SOON TECK THYE TONG WAH WENG WOON YEE YEW YIK YOKE ZHI"
    ).split()
)
MALAY = tuple(
    (
        "Amal Aroma Bayu Bestari Bintang Cahaya Damai Gemilang Harmoni Idaman Indah Intan Jaya Kencana Laksana Maju Makmur "
        "Mekar Mesra Murni Mutiara Pelangi Permata Rasa Restu Sari Sejati Selera Seri Setia Sinar Suria Teguh Wangi Warisan"
    ).split()
)
STARTS = tuple("Al Bar Bel Cor Dal El Fen Gar Hal Jor Kel Lan Mar Nor Ol Pel Quin Ros Sel Tal Ul Ver Wes Yar Zan".split())
MIDDLES = tuple("a be di e ga i la mi no o ra so ta u vi".split())
ENDS = tuple("berg dell den dor field ford gate lin lo man mer na ner rick ridge son stone ton va vale via well wick".split())
SURNAME_ENDS = tuple("& Sons|& Co.|Bros.|& Daughters|Group|International".split("|"))

TRADES: dict[str, tuple[str, ...]] = {
    "food": tuple("Restaurant|Restoran|Cafe|Bistro|Kopitiam|Kitchen|Bakery|Noodle House|Steakhouse|Tea House|Grill".split("|")),
    "grocery": tuple("Mini Market|Mart|Supermarket|Grocer|Fresh Foods|Pasar Mini|Cash & Carry|Food Store".split("|")),
    "hardware": tuple("Hardware|Trading|Enterprise|Electrical|Machinery|Paints|Tools|Timber|Building Supply".split("|")),
    "stationery": tuple("Stationery|Book Centre|Book Store|Printing|Office Supply|Gifts & Deco|Trading".split("|")),
    "pharmacy": tuple("Pharmacy|Farmasi|Health & Beauty|Drug Store|Apotheke|Clinic".split("|")),
    "fuel": tuple("Service Station|Petrol Mart|Auto Parts|Motor|Tyre Service|Car Wash".split("|")),
    "clothes": tuple("Fashion|Boutique|Sports|Shoes|Tailors|Optical|Department Store".split("|")),
}
LEGAL = tuple("SDN BHD|SDN. BHD.|Sdn Bhd|BHD|(M) SDN BHD|S/B|PTE LTD|Ltd|Ltd.|Limited|Inc|Inc.|LLC|Corp.|GmbH|S.A.|PLT".split("|"))

GOODS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[int, int]]] = {
    "food": (
        tuple("Fried|Steamed|Grilled|Spicy|Hot|Iced|Sweet & Sour|Black Pepper|Garlic|Curry|House|Large|Small|Fresh".split("|")),
        tuple(
            (
                "Rice|Noodles|Chicken|Fish Head|Prawns|Squid|Beef|Lamb Chop|Tofu|Vegetables|Kailan|Soup|Omelette|Satay|Dumplings|"
                "Toast|Burger|Pasta|Salad|Pizza|Teh Tarik|Milk Tea|Coffee|Kopi O|Lemonade|Lime Juice|Plain Water|Barley|Latte|"
                "Cheesecake|Ice Cream|Nasi Lemak|Mee Goreng|Roti Canai|Laksa|Porridge|Egg Tart|Pancake|Mineral Water|Cola"
            ).split("|")
        ),
        ("", "", "", "(L)", "(S)", "(R)", "set", "x2 pcs", "- takeaway", "w/ egg", "no chili", "200g"),
        (100, 4500),
    ),
    "grocery": (
        tuple("Gold|Fresh|Organic|Value|Royal|Family|Classic|Sunny|Green Hill|Blue Lake|Extra|Light|Frozen|Kampung".split("|")),
        tuple(
            (
                "Milk|Full Cream Milk|White Bread|Wholemeal|Basmati Rice|Sugar|Flour|Eggs A|Cooking Oil|Butter|Cheddar|Yogurt|Bananas|"
                "Apples|Oranges|Carrots|Potatoes|Onions|Tomatoes|Lychees in Syrup|Sardines|Tuna Flakes|Instant Noodle|Soy Sauce|"
                "Chili Sauce|Ketchup|Biscuits|Wafer|Chocolate|Potato Chips|Tea Bags|3in1 Coffee|Mineral Water|Orange Juice|Soap|"
                "Shampoo|Toothpaste|Tissue Roll|Dish Wash|Detergent|Sponge|Garbage Bag|Cat Food|Plastic Bag"
            ).split("|")
        ),
        ("", "", "500G", "1KG", "250ML", "1L", "1.5L", "12S", "6X200ML", "5KG", "100'S", "330ML", "2PLY", "400G", "TWIN PK"),
        (20, 3900),
    ),
    "hardware": (
        tuple("PVC|Steel|Brass|Heavy Duty|Galv.|SS304|Rubber|LED|Copper|Double|Single|Auto|Wooden|Plastic|Mini|Pro".split("|")),
        tuple(
            (
                "Hinge|Screw|Wall Plug|Bolt & Nut|Sink Tap|Pipe|Elbow|Tee Joint|Ball Valve|Cable Tie|Masking Tape|Paint Brush|"
                "Roller|Sand Paper|Hammer|Pliers|Drill Bit|Padlock|Door Knob|Bulb|Switch|Socket|Extension Wire|Bracket|Hose|"
                "Silicone|Wood Glue|Cement|Thinner|Gloves|Safety Shoes|Measuring Tape|Hacksaw Blade|Wire Mesh|Trowel|Bucket"
            ).split("|")
        ),
        ("", "1/2\"", "3/4\"", "20MM", "15MM X 3M", "10PCS", "#120", "5L", "6W", "2.5MM", "(BOX)", "4FT", "M8", "100M", "AH-12"),
        (50, 9900),
    ),
    "stationery": (
        tuple("A4|Blue|Black|Red|Jumbo|Thick|Soft|Hard Cover|Recycled|Premium|Pocket|Clear|Coloured|Kids".split("|")),
        tuple(
            (
                "Ball Pen|Gel Pen|Pencil|Eraser|Sharpener|Marker|Highlighter|Note Book|Exercise Book|Copy Paper|Envelope|File|"
                "Ring Binder|Stapler|Staples|Glue Stick|Scissors|Ruler|Calculator|Sticky Notes|Receipt Book|Name Card|Photocopy|"
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
                "Vitamin C|Fish Oil|Cough Syrup|Plaster|Bandage|Cotton Wool|Face Mask|Lozenges|Eye Drops|Antacid|Multivitamin|"
                "Hand Cream|Body Lotion|Lip Balm|Sun Block|Shower Gel|Toothbrush|Mouth Wash|Diapers|Wet Wipes|Thermometer|"
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
                "Unleaded 95|Diesel|Engine Oil|Brake Fluid|Coolant|Wiper Blade|Car Wash|Vacuum|Tyre Repair|Wheel Balancing|Alignment|"
                "Battery|Air Filter|Oil Filter|Spark Plug|Bulb H4|Labour Charge|Air Freshener|Gear Oil|Number Plate"
            ).split("|")
        ),
        ("", "", "10W-30", "4L", "1L", "14IN", "16\"", "12V", "LHS", "SET"),
        (300, 28000),
    ),
    "clothes": (
        tuple("Men's|Ladies|Slim|Cotton|Denim|Classic|Sport|Kids|Long Sleeve|V-Neck|Leather|Canvas|Striped".split("|")),
        tuple(
            (
                "Shirt|T-Shirt|Polo|Jeans|Shorts|Skirt|Dress|Jacket|Hoodie|Socks|Belt|Cap|Scarf|Sandals|Sneakers|Loafers|Backpack|"
                "Wallet|Handbag|Watch Strap|Sunglasses|Swimwear|Pyjamas|Tie|Gloves|Leggings"
            ).split("|")
        ),
        ("", "M", "XL", "SIZE 42", "BLK", "NAVY", "3PK", "UK 8", "FREE SZ", "L/GREY"),
        (590, 29900),
    ),
}
"""By trade: adjectives, nouns, sizes, and the range of prices in hundredths."""

PLACES = tuple("Bukit Kampung Taman Bandar Desa Kota Pekan Seri Sungai Ulu Teluk Tanjung".split())
STREETS = ("Street", "Road", "Avenue", "Lane", "Square", "Drive", "Way", "Court", "Park Road", "High Street")
FIRST_NAMES = tuple(
    (
        "Aina Amir Anna Azlan Bella Chong Daniel David Devi Elena Farah Grace Hana Irfan Jason Jenny Karim Kumar Lena Lim Lucy "
        "Maria Mei Nadia Noor Oscar Paul Priya Ravi Rosa Sam Siti Sofia Tan Tina Umar Victor Wong Yusof Zara"
    ).split()
)
ROLES = ("USER", "ADMIN", "CASHIER", "MANAGER", "TRAINEE", "SUPERVISOR", "POS1", "C03", "STAFF")

THANKS = tuple(
    (
        "Thank you|THANK YOU|Thank You & Please Come Again|THANK YOU FOR SHOPPING WITH US|Terima Kasih|TERIMA KASIH SILA DATANG LAGI|"
        "*** THANK YOU ***|Have a nice day!|Thanks for your visit|We hope to see you soon|Many thanks for your custom|"
        "~ Thank you, see you again ~|PLEASE COME AGAIN|Vielen Dank fur Ihren Einkauf|Merci et a bientot|Gracias por su compra"
    ).split("|")
)
POLICIES = tuple(
    (
        "Goods sold are not returnable|GOODS SOLD ARE NOT REFUNDABLE.|Exchange within 7 days with receipt|EXCHANGE ALLOWED IN 3 DAYS|"
        "NO CASH REFUND|Please keep this receipt as proof of purchase|Prices include tax where shown|E. & O. E.|"
        "This is a computer generated receipt|No signature is required|Please check your change before leaving|"
        "All items are final sale|Keep this slip for warranty claims|Returns accepted with original packing only"
    ).split("|")
)
LOYALTY = tuple(
    (
        "Points earned: {n}|MEMBER NO: {long}|Loyalty points balance {n}|You saved {n} points today|Member: {name}|"
        "POINTS THIS VISIT  {n}|Card no. **** **** **** {four}|Scan the code and win!|Follow us: @{site}|WiFi password: {site}{four}|"
        "Tell us how we did: www.{site}.com|Customer care: {phone}|Opening hours 10:00 - 22:00|STORE #{four}  TILL {two}"
    ).split("|")
)
TITLES = tuple(
    "TAX INVOICE|Tax Invoice|SIMPLIFIED TAX INVOICE|RECEIPT|Receipt|CASH BILL|CASH RECEIPT|INVOICE|-TAX INVOICE-|CASH SALES|"
    "OFFICIAL RECEIPT|Sales Receipt|GUEST CHECK|BILL|* CUSTOMER COPY *|RESIT|Rechnung".split("|")
)
SIGN_LINES = tuple(
    (
        "NO PARKING|NO SMOKING|OPEN DAILY|CLOSED ON SUNDAY|PUSH|PULL|EXIT|ENTRANCE|STAFF ONLY|WET FLOOR|CAUTION|DANGER|KEEP CLEAR|"
        "MIND THE STEP|PRIVATE|TO LET|FOR SALE|SALE|OPENING HOURS|PLEASE WAIT HERE|NO ENTRY|ONE WAY|SLOW|TOILETS|RECEPTION|FIRST AID|"
        "FIRE EXIT|HIGH VOLTAGE|DO NOT TOUCH|VISITORS|PAY HERE|TICKETS|BEWARE OF THE DOG|KEEP OFF THE GRASS|HARD HATS MUST BE WORN|"
        "NO FOOD OR DRINK|SPEED LIMIT|BUS STOP|TAXI|LIFT|GATE|PLATFORM|LEVEL|ROOM|FLOOR|ZONE|CAR PARK|QUEUE STARTS HERE"
    ).split("|")
)
TOPICS = tuple(
    (
        "Sales|Visitors|Rainfall|Output|Energy use|Exports|Members|Downloads|Orders|Trips|Harvest|Budget|Revenue|Costs|Population|"
        "Calls|Deliveries|Votes|Subscribers|Temperature"
    ).split("|")
)
MONTHS = tuple("January February March April May June July August September October November December".split())
