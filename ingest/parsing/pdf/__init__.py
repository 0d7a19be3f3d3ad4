"""Reads PDF with pypdfium2: text, tables, headings, page by page, each with its box."""

from __future__ import annotations

from ingest.parsing.pdf.document import MAX_PAGES, parse_pdf

__all__ = ["MAX_PAGES", "parse_pdf"]
