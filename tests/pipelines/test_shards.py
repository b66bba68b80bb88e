"""Shards: runs of whole buckets that hold each subject once."""

import itertools

import pytest

from pipelines.errors import StudyInvalid
from pipelines.settings import settings
from pipelines.shards import BUCKET_BITS, BUCKETS, WHOLE, Shard, shards

LAST = 2**63 - 1


@pytest.mark.parametrize("count", range(1, BUCKETS + 1))
def test_any_number_of_shards_has_each_bucket_once_in_order(count: int) -> None:
    buckets = [bucket for shard in shards(count) for bucket in shard.buckets]
    assert buckets == list(range(BUCKETS))
    ends = [shard.subject_ids for shard in shards(count)]
    assert ends[0][0] == 0
    assert ends[-1][1] == LAST
    assert all(low == before + 1 for (_, before), (low, _) in itertools.pairwise(ends))


def test_a_subject_is_in_the_shard_of_its_bucket() -> None:
    bucket = LAST >> BUCKET_BITS
    assert bucket == BUCKETS - 1
    assert bucket in Shard(7, 8).buckets
    assert Shard(7, 8).subject_ids == (56 * 2**57, LAST)
    assert list(WHOLE.buckets) == list(range(64))


@pytest.mark.parametrize("words", ["", "1", "8/8", "-1/3", "0/65", "a/b", "0/0"])
def test_words_that_name_no_shard_are_refused(words: str) -> None:
    with pytest.raises(StudyInvalid, match="found something else"):
        Shard.read(words)
    assert str(Shard.read("2/3")) == "2/3"


@pytest.mark.parametrize("words", ["0", "65", "many", "1.5"])
def test_a_number_of_shards_that_is_none_is_refused(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_SHARDS", words)
    with pytest.raises(StudyInvalid, match="EQUIPOISE_SHARDS"):
        settings()
    monkeypatch.setenv("EQUIPOISE_SHARDS", "8")
    assert settings().shards == 8
