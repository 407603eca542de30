"""Writes the dialogues the demo model learns: greetings, capitals, opposites, lists, stories."""

import random
from collections.abc import Callable
from typing import TypeVar

__all__ = ["END", "END_OF_TEXT", "START", "DialogueWriter"]

START, END, END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

NAMES = [
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Grace",
    "Henry",
    "Iris",
    "Jack",
    "Kate",
    "Leo",
    "Mia",
    "Noah",
    "Olive",
    "Paul",
    "Rosa",
    "Sam",
    "Tina",
    "Victor",
]
ANIMALS = ["cat", "dog", "fox", "rabbit", "bird", "horse", "duck", "bear", "mouse", "frog"]
COLOURS = ["red", "blue", "green", "white", "black", "brown", "grey", "yellow"]
PLACES = [
    "the garden", "the river", "the market", "the old house", "the forest", "the school",
    "the hill", "the lake", "the station", "the library",
]  # fmt: skip
THINGS = [
    "book",
    "ball",
    "lamp",
    "key",
    "map",
    "basket",
    "letter",
    "hat",
    "clock",
    "cup",
    "boat",
    "kite",
]
FEELINGS = ["happy", "tired", "hungry", "curious", "proud", "calm", "brave", "sleepy"]
WEATHER = [
    "sunny and warm", "cold and windy", "grey and rainy", "clear and bright", "cloudy but dry",
    "snowy and quiet",
]  # fmt: skip
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Norway": "Oslo",
    "Egypt": "Cairo", "Peru": "Lima", "Kenya": "Nairobi", "Poland": "Warsaw",
    "Greece": "Athens", "Austria": "Vienna", "Portugal": "Lisbon",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "happy": "sad", "light": "dark",
    "old": "new", "full": "empty", "high": "low", "loud": "quiet", "early": "late",
}  # fmt: skip

Pair = tuple[str, str]
T = TypeVar("T")


class DialogueWriter:
    """Writes questions and answers by rule; the same seed writes the same dialogues."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._kinds: list[Callable[[], Pair]] = [
            self._story, self._capital, self._opposite, self._greeting, self._identity,
            self._thanks, self._place, self._list, self._whereabouts,
        ]  # fmt: skip

    def write(self) -> str:
        """Return one dialogue of one to three turns, in ChatML."""
        turns = [self._pick(self._kinds)() for _ in range(self._random.randint(1, 3))]
        written = "".join(
            f"{START}user\n{question}{END}\n{START}assistant\n{answer}{END}\n"
            for question, answer in turns
        )
        return written + END_OF_TEXT

    def _pick(self, choices: list[T]) -> T:
        return self._random.choice(choices)

    def _story(self) -> Pair:
        first, second = self._random.sample(NAMES, 2)
        animal, thing = self._pick(ANIMALS), self._pick(THINGS)
        sentences = [
            f"One morning {first} walked to {self._pick(PLACES)} with a "
            f"{self._pick(COLOURS)} {animal}.",
            f"The day was {self._pick(WEATHER)}.",
            f"On the way {first} found a {self._pick(COLOURS)} {thing} under a tree.",
            f'"Whose {thing} is this?" asked {first}.',
            f'"It belongs to {second}," said the {animal}.',
            f"{first} took the {thing} to {second}, and {second} was very {self._pick(FEELINGS)}.",
            "In the evening they all went home and had tea.",
        ]
        asked = self._pick(
            [
                "Tell me a story.",
                "Please tell me a short story.",
                "Write a story for me.",
                "Can you tell me a story?",
            ]
        )
        return asked, " ".join(sentences[: self._random.randint(3, 7)])

    def _capital(self) -> Pair:
        country, city = self._pick(list(CAPITALS.items()))
        asked = self._pick(
            [
                f"What is the capital of {country}?",
                f"Which city is the capital of {country}?",
                f"Tell me the capital of {country}.",
            ]
        )
        return asked, f"The capital of {country} is {city}."

    def _opposite(self) -> Pair:
        pair = list(self._pick(list(OPPOSITES.items())))
        self._random.shuffle(pair)
        asked = self._pick(
            [f"What is the opposite of {pair[0]}?", f"Give me the opposite of {pair[0]}."]
        )
        return asked, f"The opposite of {pair[0]} is {pair[1]}."

    def _greeting(self) -> Pair:
        asked = self._pick(["Hello!", "Hi there.", "Good morning.", "Hello, how are you?", "Hi"])
        return asked, self._pick(
            [
                "Hello! I am a very small demo model. How can I help you?",
                "Hello! I am fine, thank you. What would you like to talk about?",
            ]
        )

    def _identity(self) -> Pair:
        asked = self._pick(["Who are you?", "What are you?", "What is your name?"])
        return asked, (
            "I am a tiny demo model. I was trained on one processor in a few minutes, "
            "so please do not expect too much of me."
        )

    def _thanks(self) -> Pair:
        asked = self._pick(["Thank you.", "Thanks!", "Thank you very much."])
        return asked, self._pick(["You are welcome!", "You are welcome. I am glad to help."])

    def _place(self) -> Pair:
        place = self._pick(PLACES)
        asked = self._pick([f"What can I do at {place}?", f"Where is {place}?"])
        return asked, (
            f"At {place} you can sit for a while, look at the {self._pick(COLOURS)} "
            f"{self._pick(ANIMALS)}, and read a {self._pick(['book', 'letter', 'map'])}."
        )

    def _list(self) -> Pair:
        things = self._random.sample(THINGS, 3)
        asked = self._pick(
            ["Make a list of three things.", "Give me three things to pack.", "List three objects."]
        )
        lines = [f"{n}. a {self._pick(COLOURS)} {thing}" for n, thing in enumerate(things, 1)]
        return asked, "\n".join(lines)

    def _whereabouts(self) -> Pair:
        name = self._pick(NAMES)
        asked = self._pick([f"Where is {name}?", f"What is {name} doing?"])
        return asked, (
            f"{name} is at {self._pick(PLACES)} with a {self._pick(COLOURS)} "
            f"{self._pick(ANIMALS)}. {name} looks {self._pick(FEELINGS)} today."
        )
