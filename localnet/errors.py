"""Errors of the local network.

* LocalnetError
  x CommandFailedError    a node's command ended with a non-zero status
  x NotInstalledError     a program that is needed is not on this machine
  x NotReadyError         something did not come up in its time
"""


class LocalnetError(Exception):
    """Base class; the message says what to look at."""


class CommandFailedError(LocalnetError):
    """A command ended with a non-zero status; the message ends with what it printed."""


class NotInstalledError(LocalnetError):
    """A program that is needed is not installed; the message names it."""


class NotReadyError(LocalnetError):
    """A node, the chain or a session did not get ready before its deadline."""
