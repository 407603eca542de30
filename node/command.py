"""Running one command of a command line: a result, or a sentence that says what to do."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import typer

from node.append_log import AppendLogError
from node.errors import OperatorError
from node.http import run
from node.keystore import KeystoreError
from node.output import Output

Work = Callable[[], Coroutine[Any, Any, Mapping[str, object]]]


def run_command(output: Output, work: Work, *expected: type[Exception]) -> None:
    """Run a command to its end and print its result.

    Errors that the person at the keyboard can act on, `expected` among them, end it with exit
    status 1 and a sentence instead of a traceback.
    """
    actionable: tuple[type[Exception], ...] = (
        OperatorError,
        KeystoreError,
        AppendLogError,
        OSError,
        *expected,
    )
    try:
        output.done(run(work()))
    except Exception as error:
        found = _leaves(error)
        if not all(isinstance(each, actionable) for each in found):
            raise
        output.failed(
            "; ".join(str(each) for each in found),
            getattr(found[0], "code", type(found[0]).__name__),
        )
        raise typer.Exit(1) from None


def _leaves(error: Exception) -> list[Exception]:
    """The errors in a group, which tasks side by side may have ended with; else the one."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]
