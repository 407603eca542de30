"""A Jinja environment in which every step of a hostile template is paid for before it is taken.

Jinja's own sandbox guards Python's insides; this adds an allowlist of syntax, filters, tests and
methods, and a budget. Nesting is bounded before and while a template runs: Python's own recursion
limit is no guard, since libraries raise it (py_ecc, that web3 loads, to 100,000) beyond what the C
stack holds. What Jinja runs inline (loops, comparisons, joining, slices) is rewritten in
the parsed template to pass through a metered filter (`template_filters`).
"""

from collections.abc import Iterable
from typing import Any, cast

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from relay_mining import template_filters as metered
from relay_mining.template_budget import TURN, BudgetError, budget_of, size_of

_BLOCKS_DEEP_MAX = 32
_BRACKETS_DEEP_MAX = 32
_TAG_TOKENS_MAX = 1_024
_ELIFS_MAX = 256
_OPENERS = frozenset(["if", "for", "macro", "filter", "with", "generation", "call", "block"])
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
            finalize=metered.finalize,
        )
        self.filters = {name: metered.meter(name, self.filters[name]) for name in _FILTERS}
        self.filters |= {
            "tojson": metered.meter("tojson", metered.to_json),
            "trim": metered.trim,
            "join": metered.join,
            "replace": metered.replace,
            "_turns": metered.turns,
            "_read": metered.read,
            "_concat": metered.join,
            "_spend": metered.spend,
        }
        self.tests = {name: metered.meter(name, cast(Any, self.tests[name])) for name in _TESTS}
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
        budget = budget_of(__context)
        budget.spend(TURN)
        budget.charge(args, kwargs)
        if not isinstance(__obj, Macro):
            metered.charge_method(budget, __obj, args)
        with budget.deeper():
            result = super().call(__context, __obj, *args, **kwargs)
        budget.charge(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Pay for an operator, then apply it."""
        budget = budget_of(context)
        budget.charge(left, right)
        if operator in ("*", "%") and not metered.are_numbers(left, right):
            metered.charge_repetition(budget, operator, left, right)
        result = super().call_binop(context, operator, left, right)
        budget.charge(result)
        return result


class _Generation(Extension):
    """`{% generation %}` marks text for training and changes none; names set in it end with it."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


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
        size_of(node.value, 1)
