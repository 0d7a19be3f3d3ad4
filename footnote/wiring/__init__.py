"""The composition root: the one place where real doors are opened, each when first used.

Everything heavy is imported where it is built, so that a command pays for what it uses. A house
stands on its floors: stores, ingestion over them, what keeps both going, and the answers on top.
"""

from footnote.wiring.house import VERSION, House

__all__ = ["VERSION", "House"]
