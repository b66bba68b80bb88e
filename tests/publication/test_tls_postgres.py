"""``sslmode=verify-full`` in the installation's URL: the right server over TLS, or none."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.postgres.connection import connect
from tests.publication.tls import ASKS_FOR_TLS, Authority, door, make_authority

PASSWORD = "not-to-be-heard"  # noqa: S105 - of no server


@pytest.fixture
def behind(server_url: str) -> Path:
    """The socket of the session's server."""
    folder = Path(str(conninfo_to_dict(server_url)["host"]))
    if not folder.is_absolute():
        pytest.skip("the server that the environment names has no socket here")
    return folder / ".s.PGSQL.5432"


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return make_authority(tmp_path, "ours")


def url(port: int, authority: Authority, host: str = "localhost", mode: str = "verify-full") -> str:
    return make_conninfo(
        host=host,
        hostaddr="127.0.0.1",
        port=port,
        user="postgres",
        password=PASSWORD,
        dbname="postgres",
        sslmode=mode,
        sslrootcert=str(authority.certificate),
    )


def test_the_right_server_is_reached_over_tls(behind: Path, ours: Authority) -> None:
    with door(behind, ours) as (port, heard), connect(url(port, ours)) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        assert connection.pgconn.ssl_in_use

    assert heard == [ASKS_FOR_TLS]


def test_a_server_that_speaks_plain_text_alone_is_refused_and_hears_nothing(
    behind: Path, ours: Authority
) -> None:
    with (
        door(behind, None) as (port, heard),
        pytest.raises(DatabaseUnavailable) as refused,
        connect(url(port, ours)),
    ):
        pass

    assert heard[0] == ASKS_FOR_TLS
    assert not b"".join(heard[1:])
    assert PASSWORD not in str(refused.value)


def test_a_certificate_that_another_authority_signed_is_refused(
    behind: Path, ours: Authority, tmp_path: Path
) -> None:
    theirs = make_authority(tmp_path, "theirs")
    with (
        door(behind, theirs) as (port, _),
        pytest.raises(DatabaseUnavailable),
        connect(url(port, ours)),
    ):
        pass


def test_a_certificate_of_another_host_is_refused_by_verify_full_alone(
    behind: Path, tmp_path: Path
) -> None:
    other = make_authority(tmp_path, "other", host="another.example")
    with door(behind, other) as (port, _):
        with pytest.raises(DatabaseUnavailable), connect(url(port, other)):
            pass
        with connect(url(port, other, mode="verify-ca")) as connection:
            assert connection.pgconn.ssl_in_use
