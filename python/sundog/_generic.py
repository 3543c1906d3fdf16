"""``typing.Generic`` for checkers of types; a stand-in at run time, as typing is slow to import."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic as Generic
else:

    class Generic:
        """Lets a class be written with its parameters, which matter to checkers only."""

        __slots__ = ()

        def __class_getitem__(cls, item: object) -> type:
            """The class itself."""
            return cls
