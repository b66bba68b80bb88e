"""``equipoise rotate-key``: another pseudonym key, the same pseudonyms."""

import typer

app = typer.Typer()


@app.command("rotate-key")
def rotate_key() -> None:
    """Make a new pseudonym key; who is known keeps the pseudonym, the old key is gone."""
    from pipelines.publication.key_rotation import rotate_key as rotate
    from pipelines.settings import settings

    rotation = rotate(settings())
    for study, subjects in rotation.kept.items():
        print(f"kept: {subjects:,} subjects of {study}")
    print(f"retired: key {rotation.retired}")
    print(f"current: key {rotation.current}")
    print("Now destroy the copies of the retired key, in backups too.")
