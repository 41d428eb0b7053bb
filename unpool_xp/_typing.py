"""The types of the public functions: what goes in as a library's array comes out as one."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

__all__ = ["ArrayObject", "ArrayT"]


class ArrayObject(Protocol):
    """An array of any library; those without types count as one, too."""

    # The types of these differ from library to library: torch.Size, tuple[int | float, ...], ...
    @property
    def shape(self) -> Any: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def ndim(self) -> Any: ...


ArrayT = TypeVar("ArrayT", bound=ArrayObject)
