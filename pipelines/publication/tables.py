"""A table as data: each guard has a name and a line of its own, so that a test can take it away."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """One table of the contract; its SQL is read by DuckDB and by PostgreSQL.

    columns: name -> type; every column is NOT NULL but those of ``nullable``.
    guards: name -> constraint. The key implies NOT NULL for its columns.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    guards: dict[str, str]
    nullable: frozenset[str] = field(default_factory=frozenset)

    @property
    def required(self) -> tuple[str, ...]:
        """The columns whose NOT NULL is a guard of its own."""
        return tuple(
            name for name in self.columns if name not in self.nullable and name not in self.key
        )

    def statement(self, without: str = "", *, schema: str = "") -> str:
        """CREATE TABLE, with one guard left out if ``without`` names it.

        A guard is named by its constraint, ``COLUMN is required``, or ``key``.
        """
        lines = [
            f"{name} {kind}" + (" NOT NULL" * self._is_required(name, without))
            for name, kind in self.columns.items()
        ]
        if without != "key":
            lines.append(f"CONSTRAINT {self.name}_key PRIMARY KEY ({', '.join(self.key)})")
        lines += [
            f"CONSTRAINT {self.name}_{name} {constraint.format(schema=schema)}"
            for name, constraint in self.guards.items()
            if name != without
        ]
        return f"CREATE TABLE {schema}{self.name} (\n    " + ",\n    ".join(lines) + "\n)"

    def _is_required(self, column: str, without: str) -> bool:
        return column in self.required and without != f"{column} is required"
