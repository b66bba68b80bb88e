"""Two publishers at once, of one generation or of two of a day: both end well, nothing is lost."""

from multiprocessing.connection import Connection

import pytest

from pipelines.publication.store import open_store
from pipelines.settings import settings
from tests.faults.publishers import (
    FORKS,
    PATIENCE_SECONDS,
    Installation,
    enter,
    rows_of,
    running,
)
from tests.pipelines.publication_examples import STUDY, predictions, publication

DAY = 5


def publish_when_told(installation: Installation, pipe: Connection) -> None:
    """Publish each number as it comes, on one and the same day; answer with the generation."""
    enter(installation)
    while True:
        number = pipe.recv()
        rows = predictions(number, rows=rows_of(number))
        receipt = open_store(settings()).publish(publication(number, day=DAY), rows)
        pipe.send((receipt.generation_id, receipt.made))


def take_turns(installation: Installation, rounds: int) -> None:
    """Rounds of two publishers: of the same generation when even, of two when odd."""
    (one, ours), (other, theirs) = FORKS.Pipe(), FORKS.Pipe()
    first = FORKS.Process(target=publish_when_told, args=(installation, ours))
    second = FORKS.Process(target=publish_when_told, args=(installation, theirs))
    made = 0
    with running(first), running(second):
        for turn in range(rounds):
            numbers = (2 * turn + 1, 2 * turn + 1 + turn % 2)
            for pipe, number in zip((one, other), numbers, strict=True):
                pipe.send(number)
            answers = []
            for pipe in (one, other):
                assert pipe.poll(PATIENCE_SECONDS), "a publisher is silent"
                answers.append(pipe.recv())
            made += sum(is_made for _, is_made in answers)
            expected = 1 + turn % 2
            assert sum(is_made for _, is_made in answers) == expected
            assert len({generation for generation, _ in answers}) == expected
            assert open_store(settings()).read_current(STUDY)["score"].n_unique() == 1
    listed = open_store(settings()).list_generations(STUDY)
    assert len(listed) == made
    assert sum(generation.is_current for generation in listed) == 1
    assert open_store(settings()).verify() == ()


def test_four_rounds_of_two_publishers_end_well(installation: Installation) -> None:
    take_turns(installation, 4)


@pytest.mark.faults
@pytest.mark.slow
def test_a_hundred_rounds_of_two_publishers_end_well(installation: Installation) -> None:
    take_turns(installation, 100)
