"""What keeps a plan from being carried out: a fault of one repository, or one that ends the run."""

from __future__ import annotations


class WriteError(Exception):
    """A plan that could not be carried out; one line that says why.  Nothing of it was done."""


class Stopped(Exception):
    """The run cannot go on (a full disk, a token that is refused); one line.

    What is done is done, and --resume goes on.
    """
