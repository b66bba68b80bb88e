"""A connection to DuckDB as this program wants it, and what tables a database holds."""

import duckdb

TABLE_DEFINITIONS = """
SELECT table_name, sql FROM duckdb_tables() WHERE database_name = current_database()
"""


def connect(path: str) -> duckdb.DuckDBPyConnection:
    """A connection that fetches nothing from the network and tells times in UTC."""
    connection = duckdb.connect(
        path, config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def table_definitions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Table -> the statement that makes it, constraints and all, as the database tells it."""
    return dict(connection.execute(TABLE_DEFINITIONS).fetchall())
