"""The report on paper: the page's own HTML and print rules, set by WeasyPrint (extra `pdf`)."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

TEMPLATES: Final = Path(__file__).parent / "templates"
# A PDF carries the time of its making; of the same evidence it must be the same file.
EPOCH: Final = "0"
FONTS: Final = "'Helvetica Neue', 'Liberation Sans', 'DejaVu Sans', Arial, sans-serif"


class PdfUnavailable(RuntimeError):
    """WeasyPrint, or the text layout library that it needs, is not on this machine."""

    cause: Final = (
        "The report cannot be printed as PDF: WeasyPrint or its library Pango is missing."
    )
    remedy: Final = (
        "Install the extra: pip install 'equipoise[pdf]'. If it still fails, install Pango from "
        "the system's packages (Debian and Ubuntu: apt-get install libpango-1.0-0 "
        "libpangoft2-1.0-0 libharfbuzz-subset0; macOS: brew install pango)."
    )

    def __init__(self) -> None:
        super().__init__(f"{self.cause}\n  remedy: {self.remedy}")


class ForeignAddress(ValueError):
    """The page asked for a file or an address; a report loads nothing."""

    def __init__(self) -> None:
        super().__init__("a report loads nothing, and this page asks for an address")


def render_pdf(html: str) -> bytes:
    """The sheets of a report, the same bytes for the same page on the same machine.

    Raises:
        PdfUnavailable: WeasyPrint or Pango is missing.
        ForeignAddress: the page asks for anything that is not in it.
    """
    weasyprint = _weasyprint()
    asked: list[str] = []

    def refuse(url: str) -> NoReturn:
        # WeasyPrint goes on without what it could not load: that it asked is what we keep.
        asked.append(url)
        raise ForeignAddress

    refuse._fail_on_errors = False  # type: ignore[attr-defined]
    with _fixed_time():
        document = weasyprint.HTML(string=_with_drawing_styles(html), url_fetcher=refuse)
        printed: bytes = document.write_pdf(pdf_identifier=b"equipoise", pdf_tags=True)
    if asked:
        raise ForeignAddress
    return printed


def _weasyprint() -> Any:
    try:
        return import_module("weasyprint")
    except (ImportError, OSError) as missing:  # OSError: the library behind it cannot be loaded
        raise PdfUnavailable from missing


def _with_drawing_styles(html: str) -> str:
    """Each drawing with the page's rules for drawings in it: WeasyPrint applies no others there."""
    return re.sub(r"<svg\b[^>]*>", lambda opening: opening[0] + drawing_style(), html)


@cache
def drawing_style() -> str:
    """The rules of style.css for drawings, with the page's colours written out."""
    css = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"(--[a-z-]+): (#[0-9a-f]{3,6})", css))
    rules = re.findall(r"^svg (.*)$", css, flags=re.MULTILINE)
    drawn = "".join(rule.replace(", svg .", ", .") for rule in rules if not rule.startswith("{"))
    drawn = re.sub(r"var\((--[a-z-]+)\)", lambda name: colours[name[1]], drawn)
    return f"<style>text {{ font-size: 11px; font-family: {FONTS}; }}{drawn}</style>"


@contextmanager
def _fixed_time() -> Iterator[None]:
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = EPOCH
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
