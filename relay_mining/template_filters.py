"""The filters and calls a chat template may use, each paid for before it runs."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from relay_mining.template_budget import (
    TURN,
    Budget,
    BudgetError,
    budget_of,
    size_of,
)

_INDENT_MAX = 16
_ARGUMENT_MAX = 256
_SHORT_ARGUMENTS = frozenset((
    "map", "reject", "rejectattr", "select", "selectattr", "sort", "unique",
))  # fmt: skip
_NUMBERS = (int, float)
_WRITABLE = (str, int, float, list, tuple, Mapping, Undefined, type(None))


def meter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter or test of Jinja: pay for what it is given and what it returns."""
    passes = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def call(context: Context, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.spend(TURN)
        budget.charge(args, kwargs)
        if name in _SHORT_ARGUMENTS and size_of((args[1:], kwargs), _ARGUMENT_MAX) > _ARGUMENT_MAX:
            raise BudgetError(f"long arguments of {name}")
        if name == "tojson":
            budget.spend(_indentation(*args, **kwargs))
        if passes is None:
            result = function(*args, **kwargs)
        else:
            first = {"context": context, "eval_context": context.eval_ctx}
            result = function(first.get(passes.name, context.environment), *args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)  # lazy ones, one inside of another, would nest without bound
        budget.charge(result)
        return result

    return call


@pass_context
def finalize(context: Context, value: Any) -> Any:
    """Return what an expression writes; only text, numbers, lists and mappings are written."""
    if not isinstance(value, _WRITABLE):
        raise BudgetError(f"writes a {type(value).__name__}")
    budget_of(context).charge(value)
    return value


@pass_context
def turns(context: Context, values: Any, written: int) -> Iterator[Any]:
    """Yield the values of a loop, each turn and the text it writes paid for."""
    budget = budget_of(context)
    for value in values:
        budget.spend(TURN + written)
        yield value


@pass_context
def read(context: Context, value: Any) -> Any:
    """Return a value that is about to be compared or sliced, paid for."""
    budget_of(context).charge(value)
    return value


@pass_context
def spend(context: Context, value: Any, steps: int) -> Any:
    """Return `value`; pay for one call and so many steps."""
    budget_of(context).spend(TURN + steps)
    return value


@pass_context
def join(context: Context, values: Any, d: str = "", attribute: str | int | None = None) -> str:
    """Return the values as one text, as Jinja joins them."""
    budget = budget_of(context)
    if attribute is not None:
        values = [context.environment.getitem(value, attribute) for value in values]
    parts = list(values)
    budget.charge(parts, d)
    budget.spend(len(parts) * len(d))
    return d.join(map(str, parts))


@pass_context
def replace(context: Context, value: Any, old: str, new: str, count: int = -1) -> str:
    """Return the text with `old` replaced; what that may write is paid for first."""
    budget, text = budget_of(context), str(value)
    budget.charge(value, old, new)
    budget.spend(_replaced(text, old, new))
    return text.replace(old, new, count)


@pass_context
def trim(context: Context, value: Any, chars: str | None = None) -> str:
    """Return the text without the characters (white space) at its ends."""
    budget_of(context).charge(value)
    if chars is not None and len(chars) > _ARGUMENT_MAX:
        raise BudgetError("long arguments of trim")
    return str(value).strip(chars)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as transformers writes it: text as it is, keys in their order."""
    if (indent or 0) > _INDENT_MAX or size_of(separators, _ARGUMENT_MAX) > _INDENT_MAX * 2:
        raise BudgetError("long arguments of tojson")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _indentation(value: Any, *args: Any, indent: Any = None, **kwargs: Any) -> int:
    """Characters that indenting adds to a value: each element's depth in steps of `indent`."""
    width = args[1] if len(args) > 1 else indent
    if type(width) is not int or width <= 0:
        return 0
    spaces = 0
    stack = [(value, width)]
    while stack:
        part, margin = stack.pop()
        if isinstance(part, (Mapping, list, tuple)):
            inner = list(part.values()) if isinstance(part, Mapping) else part
            spaces += margin * (len(inner) + 1)
            stack += [(each, margin + width) for each in inner]
    return spaces


def charge_method(budget: Budget, method: Any, args: tuple[Any, ...]) -> None:
    """Pay for what a method reads and, where its output is a product, for that."""
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    budget.charge(owner)
    if not isinstance(owner, str) or not args:
        return
    if name == "join":
        budget.spend(len(owner) * len(args[0]))
    elif name == "replace":
        budget.spend(_replaced(owner, *args[:2]))
    elif name.endswith("strip") and len(args[0] or "") > _ARGUMENT_MAX:
        raise BudgetError(f"long arguments of {name}")


def charge_repetition(budget: Budget, operator: str, left: Any, right: Any) -> None:
    """Pay for text or a list times a number; no other operator takes either."""
    text, times = (left, right) if isinstance(left, (str, list)) else (right, left)
    if operator != "*" or not isinstance(text, (str, list)) or not isinstance(times, int):
        raise BudgetError(f"{operator} on what is no number")
    budget.spend(len(text) * max(0, times))


def _replaced(text: str, old: str, new: str) -> int:
    return (text.count(old) + 1) * (len(new) + 1)


def are_numbers(left: Any, right: Any) -> bool:
    """Return whether an operator has two numbers to work on."""
    return isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)
