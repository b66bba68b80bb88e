"""The search finds what is planted, in whatever form and file it lies."""

import base64
import gzip
import html
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb
import numpy as np
import polars as pl
import pytest

from tests.security.canaries import KINDS, drawn_secrets, identifiers
from tests.security.searching import Search
from validation.report.pdf import render_pdf

PLANTED = "DE1234 <Ada> & Söhne/7"
FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.encode().upper(),
    "hex": lambda text: text.encode().hex().upper().encode(),
    "URL": lambda text: quote(text, safe="").encode(),
    "HTML": lambda text: html.escape(text).encode(),
    "JSON": lambda text: json.dumps(text).encode(),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: np.array([text]).tobytes(),
    **{
        f"base64 after {count}": lambda text, count=count: base64.b64encode(  # type: ignore[misc]
            b"x" * count + text.encode() + b"and more"
        )
        for count in range(4)
    },
    "base64 of a URL": lambda text: base64.urlsafe_b64encode(b"??" + text.encode()),
}


def parquet(file: Path) -> None:
    pl.DataFrame({"a": [1], "b": [["none", PLANTED]]}).write_parquet(file, compression="zstd")


def categories(file: Path) -> None:
    texts = pl.Series([PLANTED], dtype=pl.Categorical)
    pl.DataFrame({"a": texts}).write_parquet(file, compression="zstd")


def binaries(file: Path) -> None:
    pl.DataFrame({"a": [PLANTED.encode()]}).write_parquet(file, compression="zstd")


def sqlite(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE t (a BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (zlib.compress(PLANTED.encode()),))
        database.commit()


def database(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA s; CREATE TABLE s.t (a TEXT)")
        connection.execute("INSERT INTO s.t SELECT ? FROM range(5000)", [PLANTED])


def zipped(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", PLANTED * 3)


def pdf(file: Path) -> None:
    file.write_bytes(render_pdf(f"<p>{html.escape(PLANTED)}</p>"))


def long_lines_of_a_pdf(file: Path) -> None:
    page = f"<p style='width: 2cm'>{html.escape('filling ' * 3 + PLANTED)}</p>"
    file.write_bytes(render_pdf(page))


def broken_pdf(file: Path) -> None:
    stream = zlib.compress(PLANTED.encode() * 3)
    file.write_bytes(b"%PDF-1.7\nstream\n" + stream + b"\nendstream\n")


WRITERS = [
    parquet,
    categories,
    binaries,
    sqlite,
    database,
    zipped,
    pdf,
    long_lines_of_a_pdf,
    broken_pdf,
]


@pytest.mark.parametrize("form", FORMS)
def test_a_text_is_found_however_it_is_written(form: str) -> None:
    written = b"before " + FORMS[form](PLANTED) + b" after"

    assert Search([PLANTED]).in_texts({"file": written}) == {"file": {PLANTED}}


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_text_is_found_in_what_a_file_decodes_to(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "file")

    assert Search([PLANTED]).in_folder(tmp_path) == {"file": {PLANTED}}


def test_a_text_is_found_in_the_name_of_a_file_and_in_an_archive_of_text(tmp_path: Path) -> None:
    (tmp_path / "IMG_1234567890.jpg").touch()
    (tmp_path / "log.gz").write_bytes(gzip.compress(PLANTED.encode() * 3))
    found = Search([PLANTED, "IMG_1234567890.jpg"]).in_folder(tmp_path)

    assert found == {"IMG_1234567890.jpg": {"IMG_1234567890.jpg"}, "log.gz": {PLANTED}}


def test_what_is_left_out_is_not_read_and_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text(PLANTED)
    (tmp_path / "ours").write_text("Ada DE1234 Söhne")
    search = Search([PLANTED])

    assert search.in_folder(tmp_path, but=("theirs/*",)) == {}
    assert search.files_read == 1


def test_what_is_planted_is_of_18_kinds_1_008_texts_and_50_secrets() -> None:
    planted = identifiers()

    assert len(KINDS) == len(planted) == 18
    assert sum(map(len, planted.values())) == 1_008
    assert len(set(drawn_secrets())) == 50
    assert not set(drawn_secrets()) & set(drawn_secrets())
