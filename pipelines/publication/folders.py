"""Where a publication lies: what analysts read, and the private part beside it."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.durable import private_folder


@dataclass(frozen=True)
class PublicationFolders:
    """The files of one installation's publication, below ``root``."""

    root: Path

    @property
    def snapshot(self) -> Path:
        """The DuckDB file that analysts open, read only."""
        return self.root / "predictions.duckdb"

    @property
    def parquet(self) -> Path:
        """A link to the newest of ``parquet_files``: resolve it, then read."""
        return self.root / "predictions.parquet"

    @property
    def parquet_files(self) -> Path:
        """The current predictions of every study, for notebooks; no file is ever replaced."""
        return self.root / "parquet"

    @property
    def private(self) -> Path:
        return self.root / "private"

    @property
    def writer(self) -> Path:
        """The database with the constraints; only the publisher opens it."""
        return self.private / "writer.duckdb"

    @property
    def lock(self) -> Path:
        return self.private / "writer.lock"

    @property
    def drafts(self) -> Path:
        return self.private / "drafts"

    def make_private(self) -> None:
        """Make the folders that only the publisher enters."""
        private_folder(self.private)
        private_folder(self.drafts)

    def draft(self, name: str) -> Path:
        """The path of a draft, free of what a killed publisher left there."""
        for left in self.drafts.glob(f"{name}*"):
            left.unlink()
        return self.drafts / name
