"""A Jinja environment in which every step of a hostile template is paid for before it is taken.

Jinja's own sandbox guards Python's insides; this adds an allowlist of syntax, filters, tests and
methods, and a budget. Nesting is bounded before and while a template runs: Python's own recursion
limit is no guard, since libraries raise it (py_ecc, that web3 loads, to 100,000) beyond what the C
stack holds. What Jinja runs inline (loops, comparisons, joining, slices) is rewritten in
the parsed template to pass through a metered filter.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from jinja2 import Undefined, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

BUDGET = "__budget__"
"""The name under which a rendering's budget lies in its context."""

_TURN = 32
"""Steps of one loop turn, call, filter or test."""
_PART = 8
"""Steps of one element of a list or mapping."""
_INDENT_MAX = 16
_CALLS_DEEP_MAX = 32
_BLOCKS_DEEP_MAX = 32
_BRACKETS_DEEP_MAX = 32
_TAG_TOKENS_MAX = 1_024
_ELIFS_MAX = 256
_OPENERS = frozenset(["if", "for", "macro", "filter", "with", "generation", "call", "block"])
_DEPTH_MAX = 64
_ARGUMENT_MAX = 256
_INTEGER_MAX = 2**63
_METHODS = frozenset((
    "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith",
    "replace", "upper", "lower", "title", "capitalize", "find", "rfind", "index", "count",
    "join", "removeprefix", "removesuffix", "isdigit", "isalpha", "isspace", "items", "keys",
    "values", "get",
))  # fmt: skip
_FILTERS = frozenset((
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int",
    "items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "reverse", "safe", "select", "selectattr", "sort", "string", "title", "unique", "upper",
))  # fmt: skip
_SHORT_ARGUMENTS = frozenset((
    "map", "reject", "rejectattr", "select", "selectattr", "sort", "unique",
))  # fmt: skip
_TESTS = frozenset((
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge",
    "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lower", "lt",
    "mapping", "ne", "none", "number", "odd", "sameas", "sequence", "string", "true",
    "undefined", "upper", "==", "!=", ">", ">=", "<", "<=",
))  # fmt: skip
_REFUSED = (
    nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block, nodes.Pow,
    nodes.EvalContextModifier, nodes.ScopedEvalContextModifier, nodes.CallBlock,
)  # fmt: skip
_NUMBERS = (int, float)
_WRITABLE = (str, int, float, list, tuple, Mapping, Undefined, type(None))


class BudgetError(Exception):
    """A template does what chat templates do not, or too much of it."""


class Budget:
    """What is left of one rendering's steps and output."""

    __slots__ = ("_calls_deep", "_output", "_steps")

    def __init__(self, steps: int, output: int) -> None:
        self._calls_deep = 0
        self._steps = steps
        self._output = output

    def grant(self, steps_per_char: int, inputs: Any) -> None:
        """Add steps in proportion to the size of the inputs, which are the client's."""
        self._steps += steps_per_char * _size(inputs, 1 << 62)

    def spend(self, steps: int) -> None:
        """Pay for so many steps (BudgetError where they are not there)."""
        self._steps -= steps
        if self._steps < 0:
            raise BudgetError("too many steps")

    def charge(self, *values: Any) -> None:
        """Pay for reading values through and through, shared parts each time they are met."""
        for value in values:
            self.spend(_size(value, self._steps))

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count one macro inside of another (BudgetError where they are too deep)."""
        if self._calls_deep == _CALLS_DEEP_MAX:
            raise BudgetError("macros that call each other too deep")
        self._calls_deep += 1
        try:
            yield
        finally:
            self._calls_deep -= 1

    def meter_output(self, chunks: Iterable[str]) -> Iterator[str]:
        """Yield chunks of the output up to its limit (BudgetError beyond it)."""
        for chunk in chunks:
            self._output -= len(chunk)
            if self._output < 0:
                raise BudgetError("too much output")
            yield chunk


def _size(value: Any, limit: int) -> int:
    """Characters and elements in a value; stops counting at `limit`."""
    size = 0
    stack = [(value, 0)]
    while stack and size <= limit:
        part, depth = stack.pop()
        size += _PART if depth else 1
        if isinstance(part, (str, range)):
            size += len(part)
        elif isinstance(part, Mapping):
            stack += [(item, depth + 1) for pair in part.items() for item in pair]
        elif isinstance(part, (list, tuple, set, frozenset)):
            stack += [(item, depth + 1) for item in part]
        elif isinstance(part, int) and abs(part) >= _INTEGER_MAX:
            raise BudgetError("a number that does not fit 64 bits")
        elif depth and isinstance(part, (Namespace, Macro, LoopContext, Iterator)):
            raise BudgetError("a namespace, macro or iterator inside of a value")
        if depth > _DEPTH_MAX:
            raise BudgetError(f"values nested deeper than {_DEPTH_MAX}")
    return size


class SandboxEnvironment(ImmutableSandboxedEnvironment):
    """Jinja as Hugging Face sets it up, with an allowlist and all of it metered."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            optimized=False,
            cache_size=0,
            finalize=_finalize,
        )
        self.filters = {name: _metered(name, self.filters[name]) for name in _FILTERS}
        self.filters |= {
            "tojson": _metered("tojson", _to_json),
            "trim": _trim,
            "join": _join,
            "replace": _replace,
            "_turns": _turns,
            "_read": _read,
            "_concat": _join,
            "_spend": _spend,
        }
        self.tests = {name: _metered(name, cast(Any, self.tests[name])) for name in _TESTS}
        self.globals = {"namespace": Namespace, "range": self.globals["range"], "dict": dict}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        _refuse_nesting(self.lex(source, name, filename))
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(nodes.Node):
            _refuse_syntax(node)
        _Meter().visit(tree)
        tree.set_environment(self)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read an attribute: known methods, the loop and namespaces."""
        if callable(value) and not isinstance(obj, (LoopContext, Namespace)):
            return attr in _METHODS
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Leave `str.format` a method like any other, which no template may call."""

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Pay for a call, then make it."""
        budget = _budget_of(__context)
        budget.spend(_TURN)
        budget.charge(args, kwargs)
        if not isinstance(__obj, Macro):
            _charge_method(budget, __obj, args)
        with budget.deeper():
            result = super().call(__context, __obj, *args, **kwargs)
        budget.charge(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Pay for an operator, then apply it."""
        budget = _budget_of(context)
        budget.charge(left, right)
        if operator in ("*", "%") and not _are_numbers(left, right):
            _charge_repetition(budget, operator, left, right)
        result = super().call_binop(context, operator, left, right)
        budget.charge(result)
        return result


class _Generation(Extension):
    """`{% generation %}` marks text for training and changes none: let it through."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.If(nodes.Const(True), body, [], []).set_lineno(line)


class _Meter(NodeTransformer):
    """Sends what Jinja would run inline through a metered filter."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_turns", _written(node))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        self.generic_visit(node)
        cost = _filter(nodes.Const(0, lineno=node.lineno), "_spend", _written(node))
        node.body = [nodes.ExprStmt(cost, lineno=node.lineno), *node.body]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_concat")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        node.expr = _filter(node.expr, "_read")
        for operand in node.ops:
            operand.expr = _filter(operand.expr, "_read")
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filter(node.node, "_read")
        return node


def _filter(node: Any, name: str, *arguments: int) -> nodes.Filter:
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in arguments]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


def _written(node: nodes.Node) -> int:
    """Characters of plain text below a node: what one turn may write besides values."""
    return sum(len(data.data) for data in node.find_all(nodes.TemplateData))


def _refuse_nesting(tokens: Iterable[tuple[int, str, str]]) -> None:
    """Refuse what would nest too deep once parsed, from the tokens alone."""
    tag: list[str] = []
    brackets = blocks = elifs = 0
    for _, kind, text in tokens:
        if kind in ("block_begin", "variable_begin"):
            tag, brackets = [], 0
        elif kind == "block_end":
            word = tag[0] if tag else ""
            opens = word in _OPENERS or (word == "set" and "=" not in tag)
            blocks += opens - word.startswith("end")
            elifs += word == "elif"
        elif kind in ("name", "operator", "string", "integer", "float"):
            tag.append(text)
            brackets += (text in "([{") - (text in ")]}") if kind == "operator" else 0
        if len(tag) > _TAG_TOKENS_MAX or brackets > _BRACKETS_DEEP_MAX:
            raise BudgetError("an expression too long or too deep")
        if blocks > _BLOCKS_DEEP_MAX or elifs > _ELIFS_MAX:
            raise BudgetError("blocks too deep or too many")


def _refuse_syntax(node: nodes.Node) -> None:
    if isinstance(node, _REFUSED) or (isinstance(node, nodes.For) and node.recursive):
        raise BudgetError(f"{type(node).__name__} is no part of a chat template")
    if isinstance(node, nodes.Const) and isinstance(node.value, int):
        _size(node.value, 1)


def _budget_of(context: Context) -> Budget:
    budget = context.parent.get(BUDGET)
    if not isinstance(budget, Budget):
        raise BudgetError("the template hides its budget")
    return budget


def _metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter or test of Jinja: pay for what it is given and what it returns."""
    passes = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def call(context: Context, *args: Any, **kwargs: Any) -> Any:
        budget = _budget_of(context)
        budget.spend(_TURN)
        budget.charge(args, kwargs)
        if name in _SHORT_ARGUMENTS and _size((args[1:], kwargs), _ARGUMENT_MAX) > _ARGUMENT_MAX:
            raise BudgetError(f"long arguments of {name}")
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
def _finalize(context: Context, value: Any) -> Any:
    if not isinstance(value, _WRITABLE):
        raise BudgetError(f"writes a {type(value).__name__}")
    _budget_of(context).charge(value)
    return value


@pass_context
def _turns(context: Context, values: Any, written: int) -> Iterator[Any]:
    budget = _budget_of(context)
    for value in values:
        budget.spend(_TURN + written)
        yield value


@pass_context
def _read(context: Context, value: Any) -> Any:
    _budget_of(context).charge(value)
    return value


@pass_context
def _spend(context: Context, value: Any, steps: int) -> Any:
    _budget_of(context).spend(_TURN + steps)
    return value


@pass_context
def _join(context: Context, values: Any, d: str = "", attribute: str | int | None = None) -> str:
    budget = _budget_of(context)
    if attribute is not None:
        values = [context.environment.getitem(value, attribute) for value in values]
    parts = list(values)
    budget.charge(parts, d)
    budget.spend(len(parts) * len(d))
    return d.join(map(str, parts))


@pass_context
def _replace(context: Context, value: Any, old: str, new: str, count: int = -1) -> str:
    budget, text = _budget_of(context), str(value)
    budget.charge(value, old, new)
    budget.spend(_replaced(text, old, new))
    return text.replace(old, new, count)


@pass_context
def _trim(context: Context, value: Any, chars: str | None = None) -> str:
    _budget_of(context).charge(value)
    if chars is not None and len(chars) > _ARGUMENT_MAX:
        raise BudgetError("long arguments of trim")
    return str(value).strip(chars)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if (indent or 0) > _INDENT_MAX or _size(separators, _ARGUMENT_MAX) > _INDENT_MAX * 2:
        raise BudgetError("long arguments of tojson")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _charge_method(budget: Budget, method: Any, args: tuple[Any, ...]) -> None:
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


def _charge_repetition(budget: Budget, operator: str, left: Any, right: Any) -> None:
    text, times = (left, right) if isinstance(left, (str, list)) else (right, left)
    if operator != "*" or not isinstance(text, (str, list)) or not isinstance(times, int):
        raise BudgetError(f"{operator} on what is no number")
    budget.spend(len(text) * max(0, times))


def _replaced(text: str, old: str, new: str) -> int:
    return (text.count(old) + 1) * (len(new) + 1)


def _are_numbers(left: Any, right: Any) -> bool:
    return isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)
