"""A source is cut by its subjects: 64 buckets of pseudonyms, fixed for ever, and shards of them.

How many shards there are says how a table is made, never what is in it: a stage writes and scores
bucket by bucket, a shard is a run of whole buckets, and so 1 shard and 8 give the same bytes.
Light to import: the files of DAGs ask it how often to map a stage.
"""

from dataclasses import dataclass
from typing import Self

from pipelines.errors import StudyInvalid

BUCKETS = 64
# A pseudonym has 63 bits (pipelines/pseudonyms.py); a bucket is the first six of them.
BUCKET_BITS = 57


@dataclass(frozen=True)
class Shard:
    """Shard ``number`` (from 0) of ``of``: as words ``2/8``."""

    number: int
    of: int

    @classmethod
    def read(cls, words: str) -> Self:
        """The shard that ``words`` names.

        Raises:
            StudyInvalid: they name none.
        """
        number, _, of = words.partition("/")
        if number.isdecimal() and of.isdecimal() and 0 <= int(number) < int(of) <= BUCKETS:
            return cls(int(number), int(of))
        raise StudyInvalid(
            "Expected a shard such as 0/1 or 2/8, found something else.",
            where="the argument `shard`",
            remedy=f"Count shards from 0; there are at most {BUCKETS}.",
        )

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def buckets(self) -> range:
        """The buckets of this shard; all shards of one number have each bucket once."""
        return range(
            BUCKETS * self.number // self.of,
            BUCKETS * (self.number + 1) // self.of,
        )

    @property
    def subject_ids(self) -> tuple[int, int]:
        """The first and the last pseudonym that belong here."""
        return self.buckets.start << BUCKET_BITS, (self.buckets.stop << BUCKET_BITS) - 1


WHOLE = Shard(0, 1)


def shards(count: int) -> list[Shard]:
    """All shards of ``count``, in the order of their subjects."""
    return [Shard(number, count) for number in range(count)]
