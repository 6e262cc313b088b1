"""The one exception of the policy package, and the place in a policy file that it points at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A position in a policy file: 1-based line and column, and the text of that line for the excerpt."""

    file: str
    line: int
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class PolicyError(Exception):
    """A policy that cannot be used: what is wrong, where it stands, and what to do about it.

    ``str()`` is one readable text: ``FILE:LINE:COLUMN: MESSAGE``, the line with a caret under the column where
    one is known, and the remedy on a line of its own.
    """

    def __init__(self, message: str, *, where: Where | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def at(self, where: Where | None) -> PolicyError:
        """The same error with a position, unless it has one already."""
        if where is None or self.where is not None:
            return self
        return PolicyError(self.message, where=where, remedy=self.remedy)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where is not None else self.message]
        if self.where is not None and self.where.text.strip():
            text = self.where.text.rstrip()
            # Tabs are kept in the margin so that the caret stands under its column whatever their width.
            margin = "".join("\t" if char == "\t" else " " for char in text[: self.where.column - 1])
            parts += [f"    {text}", f"    {margin}^"]
        if self.remedy is not None:
            parts.append(f"  {self.remedy}")
        return "\n".join(parts)
