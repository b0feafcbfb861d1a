"""Errors in two kinds, so that a command can tell a wrong request from a broken world.

A plain ``ValueError`` means that the request cannot be served as it was made: another argument is the way out. A
:class:`DataError` means that the request was fine and what it named is broken.
"""


class DataError(ValueError):
    """Something outside the program cannot be used: a broken picture, corrupt weights, a torn file."""


class RequestWarning(UserWarning):
    """A part of a request does nothing, or may not mean what it seems to: it is served all the same."""


class NoPromiseError(ValueError):
    """The recorded questions do not bear what an exit was asked to promise."""


class UnsuitableMethodError(ValueError):
    """A method asks for what a model cannot do, or has options that do nothing there."""


class UnreachableError(ValueError):
    """A method cannot come down to the asked share of visual tokens on a model of so many layers."""
