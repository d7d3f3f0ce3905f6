"""What every document of the store is: values that do not change, and what a store must know to index them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Values that do not change, and no others than are declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Frozen):
    """A document of the store; see `alerts.records`."""

    columns: ClassVar[tuple[str, ...]] = ()
    sets: ClassVar[tuple[str, ...]] = ()
    time: ClassVar[str] = "at"
    searchable: ClassVar[bool] = False

    id: str

    def words(self) -> Iterable[str]:
        """The pieces of text that free text finds; nothing in them is a leaked value."""
        return ()


D = TypeVar("D", bound=Document)
