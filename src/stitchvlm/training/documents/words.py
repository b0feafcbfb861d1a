"""Words that invented documents are put together from: syllables of names, trades, streets and set phrases."""

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
STARTS = tuple(
    "Al Bar Bel Cor Dal El Fen Gar Hal Jor Kel Lan Mar Nor Ol Pel Quin Ros Sel Tal Ul Ver Wes Yar Zan".split()
)
MIDDLES = tuple("a be di e ga i la mi no o ra so ta u vi".split())
ENDS = tuple(
    "berg dell den dor field ford gate lin lo man mer na ner rick ridge son stone ton va vale via well wick".split()
)
SURNAME_ENDS = tuple("& Sons|& Co.|Bros.|& Daughters|Group|International".split("|"))

TRADES: dict[str, tuple[str, ...]] = {
    "food": tuple(
        "Restaurant|Restoran|Cafe|Bistro|Kopitiam|Kitchen|Bakery|Noodle House|Steakhouse|Tea House|Grill".split("|")
    ),
    "grocery": tuple("Mini Market|Mart|Supermarket|Grocer|Fresh Foods|Pasar Mini|Cash & Carry|Food Store".split("|")),
    "hardware": tuple(
        "Hardware|Trading|Enterprise|Electrical|Machinery|Paints|Tools|Timber|Building Supply".split("|")
    ),
    "stationery": tuple("Stationery|Book Centre|Book Store|Printing|Office Supply|Gifts & Deco|Trading".split("|")),
    "pharmacy": tuple("Pharmacy|Farmasi|Health & Beauty|Drug Store|Apotheke|Clinic".split("|")),
    "fuel": tuple("Service Station|Petrol Mart|Auto Parts|Motor|Tyre Service|Car Wash".split("|")),
    "clothes": tuple("Fashion|Boutique|Sports|Shoes|Tailors|Optical|Department Store".split("|")),
}
LEGAL = tuple(
    "SDN BHD|SDN. BHD.|Sdn Bhd|BHD|(M) SDN BHD|S/B|PTE LTD|Ltd|Ltd.|Limited|Inc|Inc.|LLC|Corp.|GmbH|S.A.|PLT".split("|")
)

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
        "Thank you|THANK YOU|Thank You & Please Come Again|THANK YOU FOR SHOPPING WITH US|Terima Kasih|"
        "TERIMA KASIH SILA DATANG LAGI|"
        "*** THANK YOU ***|Have a nice day!|Thanks for your visit|We hope to see you soon|Many thanks for your custom|"
        "~ Thank you, see you again ~|PLEASE COME AGAIN|Vielen Dank fur Ihren Einkauf|Merci et a bientot|"
        "Gracias por su compra"
    ).split("|")
)
POLICIES = tuple(
    (
        "Goods sold are not returnable|GOODS SOLD ARE NOT REFUNDABLE.|Exchange within 7 days with receipt|"
        "EXCHANGE ALLOWED IN 3 DAYS|"
        "NO CASH REFUND|Please keep this receipt as proof of purchase|Prices include tax where shown|E. & O. E.|"
        "This is a computer generated receipt|No signature is required|Please check your change before leaving|"
        "All items are final sale|Keep this slip for warranty claims|Returns accepted with original packing only"
    ).split("|")
)
LOYALTY = tuple(
    (
        "Points earned: {n}|MEMBER NO: {long}|Loyalty points balance {n}|You saved {n} points today|Member: {name}|"
        "POINTS THIS VISIT  {n}|Card no. **** **** **** {four}|Scan the code and win!|Follow us: @{site}|"
        "WiFi password: {site}{four}|"
        "Tell us how we did: www.{site}.com|Customer care: {phone}|Opening hours 10:00 - 22:00|"
        "STORE #{four}  TILL {two}"
    ).split("|")
)
TITLES = tuple(
    "TAX INVOICE|Tax Invoice|SIMPLIFIED TAX INVOICE|RECEIPT|Receipt|CASH BILL|CASH RECEIPT|INVOICE|-TAX INVOICE-|"
    "CASH SALES|"
    "OFFICIAL RECEIPT|Sales Receipt|GUEST CHECK|BILL|* CUSTOMER COPY *|RESIT|Rechnung".split("|")
)
SIGN_LINES = tuple(
    (
        "NO PARKING|NO SMOKING|OPEN DAILY|CLOSED ON SUNDAY|PUSH|PULL|EXIT|ENTRANCE|STAFF ONLY|WET FLOOR|CAUTION|"
        "DANGER|KEEP CLEAR|"
        "MIND THE STEP|PRIVATE|TO LET|FOR SALE|SALE|OPENING HOURS|PLEASE WAIT HERE|NO ENTRY|ONE WAY|SLOW|TOILETS|"
        "RECEPTION|FIRST AID|"
        "FIRE EXIT|HIGH VOLTAGE|DO NOT TOUCH|VISITORS|PAY HERE|TICKETS|BEWARE OF THE DOG|KEEP OFF THE GRASS|"
        "HARD HATS MUST BE WORN|"
        "NO FOOD OR DRINK|SPEED LIMIT|BUS STOP|TAXI|LIFT|GATE|PLATFORM|LEVEL|ROOM|FLOOR|ZONE|CAR PARK|QUEUE STARTS HERE"
    ).split("|")
)
TOPICS = tuple(
    (
        "Sales|Visitors|Rainfall|Output|Energy use|Exports|Members|Downloads|Orders|Trips|Harvest|Budget|Revenue|"
        "Costs|Population|"
        "Calls|Deliveries|Votes|Subscribers|Temperature"
    ).split("|")
)
MONTHS = tuple("January February March April May June July August September October November December".split())
