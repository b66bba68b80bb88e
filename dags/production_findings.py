"""What a rule of production finds: an unsafe setting, by its place and never by its value."""

from collections.abc import Iterator

from pipelines.errors import EquipoiseError


class UnsafeSetting(EquipoiseError):
    """A setting that no installation in production may start with."""

    exit_code = 44


Found = Iterator[UnsafeSetting]
