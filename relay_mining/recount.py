"""Counting tokens again, from the service's own tokenizer and template, both hostile bytes.

The gateway recounts before it signs a receipt, and pays for the lesser of the two counts:

* output with token ids: their number, if their decoding equals the text. A stop string may have
  cut the text shorter than the decoding, the last character may still have been incomplete, and
  one special token may end the ids; other special tokens decode to nothing and are not counted for
  free: with them the ids prove nothing. A text can be cut into more tokens than its tokenizer
  would, so ids count for at most what encoding again gives, plus the tolerance.
* output without ids: the text encoded again. Sampling does not always take the tokenizer's own cut,
  hence a tolerance before a supplier is held to have lied.
* reasoning and tool calls: engines drop the marks between the parts and write arguments anew, so
  the decoding of the ids must hold every part (`Speech.is_within`), and counts for at most the
  parts encoded again, the tolerance, and a stated allowance for the marks. What is not shown is
  not paid.
* ids whose decoding holds what is shown are no lie, however many: engines swallow special tokens
  and calls that do not parse, hold calls back, and a client's `logit_bias` makes a model repeat one
  token, or a special one, for as long as it pays. They are paid no more for it.
* input: the messages through the chat template, or the prompt, encoded. Exact, but for what an
  engine may add that the template does not show.
* a template that asks for the date is told the day of the count, the one before and the one
  after; the most of the three counts, for clocks differ and midnight comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from relay_mining.conversation import Conversation
from relay_mining.speech import Speech
from relay_mining.template import ChatTemplate, TemplateLimits
from relay_mining.tokens import RecountError, TokenCounter

_INCOMPLETE = "\ufffd"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RecountLimits:
    """What a recount may take, and how far an honest count may be off.

    The tolerance of an encoded count `c` is `tolerance_tokens + c * tolerance_bps / 10000`, rounded
    down (against the supplier). Reasoning adds `reasoning_tokens`, each tool call `call_tokens`
    and `call_bps` of its own encoding (rounded down too); input may be over by `input_tokens`, and
    by as many again for each tool.
    """

    tokenizer_bytes_max: int = 64 << 20
    text_chars_max: int = 8 << 20
    tolerance_tokens: int = 8
    tolerance_bps: int = 1_000
    reasoning_tokens: int = 8
    call_tokens: int = 24
    call_bps: int = 5_000
    input_tokens: int = 16
    template: TemplateLimits = field(default_factory=TemplateLimits)


@dataclass(frozen=True, slots=True)
class OutputCount:
    """Output tokens of one answer, and whether token ids proved them."""

    tokens: int
    is_exact: bool
    tokens_max: int
    """The most an honest supplier can have counted: the tolerance is in it."""


@dataclass(frozen=True, slots=True)
class InputCount:
    """Input tokens of one request: those to pay for, and the most an honest supplier counts."""

    tokens: int
    tokens_max: int


class Recounter:
    """The tokenizer and chat template of one service; threads may share one.

    Raises:
        RecountError: the tokenizer is too long or does not load.
        TemplateError: the template is refused.
    """

    __slots__ = ("_counter", "_limits", "_template")

    def __init__(
        self,
        tokenizer_json: bytes,
        chat_template: str | None,
        special_tokens: Mapping[str, str] | None = None,
        limits: RecountLimits | None = None,
    ) -> None:
        self._limits = limits or RecountLimits()
        self._counter = TokenCounter(
            tokenizer_json, self._limits.tokenizer_bytes_max, self._limits.text_chars_max
        )
        self._template = (
            None
            if chat_template is None
            else ChatTemplate(chat_template, special_tokens, self._limits.template)
        )

    def recount_output(
        self, text: str, token_ids: Sequence[int] | None, stop: Sequence[str] = ()
    ) -> OutputCount:
        """Return the output tokens of one answer's whole text, and what proves them.

        `stop` are the request's stop strings. An answer cut short by a client counts as far as it
        was sent.

        Raises:
            RecountError: the text is too long.
        """
        encoded = self._counter.count(text)
        most = encoded + self.tolerance(encoded)
        is_proved = token_ids is not None and self._decodes_to(token_ids, text, stop)
        return _output(encoded, most, token_ids if is_proved else None)

    def recount_speech(
        self, speech: Speech, token_ids: Sequence[int] | None, stop: Sequence[str] = ()
    ) -> OutputCount:
        """Return the output tokens of an answer in parts: reasoning, content, tool calls.

        Raises:
            RecountError: a part is too long.
        """
        if speech.is_plain:
            found = self.recount_output(speech.content, token_ids, stop)
        else:
            found = self._recount_parts(speech, token_ids)
        if token_ids is None or len(token_ids) <= found.tokens_max:
            return found
        return replace(found, tokens_max=len(token_ids)) if self._hold(token_ids, speech) else found

    def _recount_parts(self, speech: Speech, token_ids: Sequence[int] | None) -> OutputCount:
        limits, count = self._limits, self._counter.count
        calls = sum(count(each.name) + count(each.arguments) for each in speech.calls)
        reasoning = count(speech.reasoning)
        encoded = count(speech.content) + reasoning + calls
        marks = limits.reasoning_tokens if reasoning else 0
        marks += limits.call_tokens * sum(1 for each in speech.calls if each.name)
        marks += calls * limits.call_bps // 10_000
        most = encoded + self.tolerance(encoded) + marks
        written = None if token_ids is None else self._counter.decode(token_ids)
        is_proved = written is not None and speech.is_within(written)
        return _output(encoded, most, token_ids if is_proved else None)

    def _hold(self, ids: Sequence[int], speech: Speech) -> bool:
        """Whether ids hold what is said, special tokens read or left out."""
        forms = (self._counter.decode(ids, skip_special_tokens=skips) for skips in (False, True))
        return any(form is not None and speech.is_within(form) for form in forms)

    def count_prompt(
        self, prompt: str | Sequence[int], *, add_special_tokens: bool = True
    ) -> InputCount:
        """Return the input tokens of a text or of token ids, each of them one.

        Raises:
            RecountError: the text is too long.
        """
        if isinstance(prompt, str):
            tokens = self._counter.count(prompt, add_special_tokens=add_special_tokens)
        else:
            tokens = len(prompt)
        return InputCount(tokens, tokens + self._limits.input_tokens)

    def count_chat(
        self,
        conversation: Conversation,
        *,
        now: datetime | None = None,
        add_generation_prompt: bool = True,
        add_special_tokens: bool = False,
    ) -> InputCount:
        """Return the input tokens of a chat, rendered and then encoded.

        `now` is the date of the request, for a template that asks for it.

        Raises:
            RecountError: too long, or a chat for a service without a chat template.
            TemplateError: the template refuses the messages or spends its limits.
        """
        template = self._template
        if template is None:
            raise RecountError("messages for a service without a chat template")
        days = (now,) if now is None or not template.asks_the_date else _days_around(now)
        tokens = max(
            self._counter.count(
                template.render(conversation, add_generation_prompt=add_generation_prompt, now=day),
                add_special_tokens=add_special_tokens,
            )
            for day in days
        )
        return InputCount(
            tokens, tokens + self._limits.input_tokens * (1 + len(conversation.tools))
        )

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """Return the text of a prompt given as ids, as engines echo it; None for ids of nothing."""
        return self._counter.decode(token_ids, skip_special_tokens=True)

    def tolerance(self, encoded: int) -> int:
        """Return by how many tokens an honest count may exceed an encoded one."""
        return self._limits.tolerance_tokens + encoded * self._limits.tolerance_bps // 10_000

    def _decodes_to(self, ids: Sequence[int], text: str, stop: Sequence[str]) -> bool:
        spoken = ids[:-1] if ids and self._counter.is_special(ids[-1]) else ids
        if any(self._counter.is_special(id_) for id_ in spoken):
            return False
        decoded = self._counter.decode(spoken)
        if decoded is None:
            return False
        if decoded in (text, text + _INCOMPLETE) or decoded.rstrip(_INCOMPLETE) == text:
            return True
        rest = decoded[len(text) :]
        return decoded.startswith(text) and any(rest.startswith(mark) for mark in stop if mark)


def _output(encoded: int, most: int, proof: Sequence[int] | None) -> OutputCount:
    """The count of ids that prove themselves, bounded by `most`; else the encoded count."""
    if proof is None:
        return OutputCount(encoded, False, most)
    count = len(proof)
    return OutputCount(min(count, most), count <= most, min(count, most))


def _days_around(now: datetime) -> tuple[datetime, ...]:
    return (now - _DAY, now, now + _DAY)
