"""``equipoise reads``: who read predictions."""

import typer

app = typer.Typer()


@app.command()
def reads() -> None:
    """Who read predictions how often and when, of the PostgreSQL that is named; by an auditor."""
    from pipelines.console import print_table
    from pipelines.errors import DatabaseUnavailable
    from pipelines.publication.postgres.reads import list_reads
    from pipelines.settings import settings

    url = settings().database_url
    if url is None:
        raise DatabaseUnavailable(
            "Who opens a file is written down by nobody: reads are known of a PostgreSQL alone.",
            where="EQUIPOISE_DATABASE_URL",
            remedy="Name the database that serves predictions, with the login of an auditor.",
        )
    readers, taken_back = list_reads(url)
    moment = "%Y-%m-%d %H:%M:%S"
    rows = [
        (each.reader, f"{each.reads:,}", f"{each.first_at:{moment}}", f"{each.last_at:{moment}}")
        for each in readers
    ]
    print_table(("login", "reads", "first (UTC)", "last (UTC)"), rows)
    if taken_back:
        print(f"taken back: {taken_back:,} more; the server's log names them")
