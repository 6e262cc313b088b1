"""What an answer about a program rests on, told while it is being found, for whoever keeps the answer."""

from __future__ import annotations

from typing import Protocol


class Witness(Protocol):
    """Told of everything that is looked at, before it is: whoever notes what is there then notes no later state."""

    def content(self, path: str) -> object:
        """A file is going to be looked for, and read if it is there."""

    def variable(self, name: str) -> object:
        """A variable of the environment is going to be asked for."""

    def arguments(self) -> object:
        """Which program is run depends on COMMAND's arguments: env(1) takes its own from them."""


class Nobody:
    """A witness who forgets."""

    def content(self, path: str) -> None:
        """Nothing."""

    def variable(self, name: str) -> None:
        """Nothing."""

    def arguments(self) -> None:
        """Nothing."""


NOBODY = Nobody()
