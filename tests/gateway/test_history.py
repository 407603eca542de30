"""The requests that are kept: so many, of every key, and the busiest one's oldest go first."""

from collections import Counter
from random import Random

from gateway.books.history import History
from gateway.routing.observation import Ended


def refused(number: int, key_id: str) -> Ended:
    return Ended(number.to_bytes(16, "big"), key_id, "m", 429, "rate_limit_exceeded")


def fill(history: History, key_id: str, numbers: range) -> None:
    for number in numbers:
        history.record(refused(number, key_id))


def kept(history: History) -> list[int]:
    """The numbers of the requests that are kept, the newest first."""
    return [int(each["id"].removeprefix("req_"), 16) for each in history.latest(10**6)]


def test_a_key_that_is_refused_without_end_takes_nobodys_story() -> None:
    history = History(size=10)
    fill(history, "quiet", range(3))
    fill(history, "loud", range(100, 1100))

    assert kept(history) == [*range(1099, 1092, -1), 2, 1, 0]
    story = history.find(refused(0, "quiet").request, "quiet")
    assert story is not None
    assert story["code"] == "rate_limit_exceeded"
    assert history.find(refused(0, "quiet").request, "loud") is None


def test_of_one_key_the_oldest_goes_and_of_keys_that_have_one_each_too() -> None:
    alone, many, none = History(size=3), History(size=3), History(size=0)
    for number in range(10):
        alone.record(refused(number, "one"))
        many.record(refused(number, f"key {number}"))
        none.record(refused(number, "one"))

    assert kept(alone) == kept(many) == [9, 8, 7]
    assert kept(none) == []


def test_what_goes_is_the_oldest_of_whoever_has_the_most() -> None:
    rng, history, model = Random(7), History(size=20), dict[int, str]()
    for number in range(2_000):
        model[number] = f"key {min(int(rng.expovariate(0.4)), 9)}"
        history.record(refused(number, model[number]))
        if number >= history.size:
            (gone,) = model.keys() - set(kept(history))
            counts = Counter(model.values())
            assert counts[model[gone]] == max(counts.values())
            assert gone == next(each for each, key in model.items() if key == model[gone])
            del model[gone]
