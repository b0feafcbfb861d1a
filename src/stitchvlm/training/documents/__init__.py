"""Drawn documents: receipts, invoices, forms, tickets, price lists, charts and signs that look scanned, with all that they say.

`draw_document` gives a picture and its ground truth, `draw_crop` a part of one, `questions.ask_several` what a user may
ask about it. Real scans in a folder are read into the same form by `real`. Needs numpy and Pillow only.
"""

from .document import Document, Item, Line, Written
from .generator import KINDS, draw_crop, draw_document

__all__ = ["KINDS", "Document", "Item", "Line", "Written", "draw_crop", "draw_document"]
