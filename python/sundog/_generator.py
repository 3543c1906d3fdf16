"""What a generator's call returns, and what ``num_returns="dynamic"`` brings."""

from __future__ import annotations

import types

from sundog import _core
from sundog._core import public
from sundog._generic import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
    from typing import Any, TypeVar

    T = TypeVar("T")
else:
    T = None

# model::Returns
FIXED, STREAM, DYNAMIC = 1, 2, 3
GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200  # code flags
STAYS = (
    "A generator stays with the process that called, where its items are counted: pass on the "
    "references that it yields."
)


def is_generator(function: object) -> bool:
    """Whether a call of the function makes a generator."""
    return bool(code_flags(function) & (GENERATOR | ASYNC_GENERATOR))


def refuse_async(function: object, name: str) -> None:
    """For a function that is to be a task.

    Raises:
        ValueError: it is ``async def``.
    """
    flags = code_flags(function)
    if flags & (COROUTINE | ASYNC_GENERATOR):
        what, run = "an async function", f"let a plain function call asyncio.run({name}(...))"
        if flags & ASYNC_GENERATOR:
            what, run = "an async generator", "let a plain function yield"
        raise ValueError(
            f"{name} is {what}, and a task has no event loop: {run}, or make it a method of an "
            "actor, whose calls share one"
        )


def code_flags(function: object) -> int:
    """Of a function's code, 0 if it has none; a partial is what it calls."""
    inner = function
    while hasattr(inner, "func") and not isinstance(inner, types.FunctionType):
        inner = inner.func
    code = getattr(getattr(inner, "__func__", inner), "__code__", None)
    return 0 if code is None else int(code.co_flags)


class Arrival:
    """``await Arrival(ref)``: until the object is here; its value stays where it is."""

    __slots__ = ("ref",)

    def __init__(self, ref: _core.ObjectRef[Any]) -> None:
        """Takes what is awaited."""
        self.ref = ref

    def __await__(self) -> Generator[Any, None, None]:
        """Suspends the running coroutine."""
        from sundog import _future

        return _future.begin_await(self.ref)


def unsupported(what: str) -> NotImplementedError:
    """Nothing of a caller reaches a generator that runs elsewhere."""
    return NotImplementedError(
        f"ObjectRefGenerator.{what} is not supported: the generator runs in another process, which "
        "receives nothing after the call; pass it an actor's handle to talk to"
    )


class ObjectRefGenerator(_core.Stream, Generic[T]):
    """Iterates over the references of what a generator yields in another process.

    ``next(gen)`` waits until the next item is there and returns its ObjectRef; ``async for`` does
    so without blocking the event loop. An exception of the generator is raised by ``sundog.get``
    of the reference that follows the last item; then the iteration ends. The generator belongs to
    the process that called; its references may be passed on. When it is dropped or closed, what it
    runs ends at its next ``yield``.
    """

    __slots__ = ("__weakref__",)

    @public
    def __init__(self) -> None:
        """Refuses: a call of a generator makes one.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "an ObjectRefGenerator is what f.remote(...) returns for a function f that yields"
        )

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[_core.ObjectRef[T]]: ...
        def __next__(self) -> _core.ObjectRef[T]: ...

    def __aiter__(self) -> AsyncIterator[_core.ObjectRef[T]]:
        """Itself."""
        return self

    async def __anext__(self) -> _core.ObjectRef[T]:
        """The next reference, when its item is here."""
        while True:
            peeked = self._peek()
            if peeked is None:
                raise StopAsyncIteration
            await Arrival(peeked)
            if self._take(peeked):
                return peeked

    @public
    def completed(self) -> _core.ObjectRef[None]:
        """A reference that is ready when the generator has ended; ``get`` raises what it raised."""
        return self._completed()

    @public
    def next_ready(self) -> bool:
        """Whether ``next`` would return a reference at once."""
        peeked = self._peek()
        if peeked is None:
            return False
        ready, _ = _core.wait([peeked], timeout=0)
        return bool(ready) and not self._is_finished()

    @public
    def is_finished(self) -> bool:
        """Whether all references were taken and the generator has ended."""
        return self._is_finished()

    @public
    def close(self) -> None:
        """No more items are wanted: what was not taken is freed, and the generator ends.

        A generator that runs gets GeneratorExit at its next ``yield``; one that has not begun
        never does.
        """
        self._close()

    @public
    async def aclose(self) -> None:
        """As ``close``."""
        self._close()

    @public
    def send(self, value: None) -> _core.ObjectRef[T]:
        """``send(None)`` is ``next``.

        Raises:
            NotImplementedError: any other value.
        """
        if value is not None:
            raise unsupported("send")
        return next(self)

    @public
    def throw(self, *args: object) -> None:
        """Refused.

        Raises:
            NotImplementedError: always.
        """
        raise unsupported("throw")

    @public
    async def asend(self, value: None) -> _core.ObjectRef[T]:
        """``await asend(None)`` is ``await anext(...)``.

        Raises:
            NotImplementedError: any other value.
        """
        if value is not None:
            raise unsupported("asend")
        return await self.__anext__()

    @public
    async def athrow(self, *args: object) -> None:
        """Refused.

        Raises:
            NotImplementedError: always.
        """
        raise unsupported("athrow")

    def __reduce__(self) -> tuple[object, ...]:
        """Refuses to travel."""
        raise TypeError(f"an ObjectRefGenerator cannot be pickled. {STAYS}")

    def __repr__(self) -> str:
        """``ObjectRefGenerator(3f2a…)``, by the reference of its end."""
        return f"ObjectRefGenerator({self._completed().hex()})"


class DynamicObjectRefGenerator(Generic[T]):
    """The references of what a ``num_returns="dynamic"`` call yielded, once."""

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[_core.ObjectRef[T]]) -> None:
        """Takes the references, in order."""
        from collections import deque

        self._refs = deque(refs)

    def __iter__(self) -> Iterator[_core.ObjectRef[T]]:
        """Gives each away: nothing of what was iterated over is kept alive here."""
        while self._refs:
            yield self._refs.popleft()

    def __len__(self) -> int:
        """How many are left."""
        return len(self._refs)

    def __reduce__(self) -> tuple[object, ...]:
        """A list of references."""
        return DynamicObjectRefGenerator, (list(self._refs),)

    def __repr__(self) -> str:
        """``DynamicObjectRefGenerator(3 left)``."""
        return f"DynamicObjectRefGenerator({len(self._refs)} left)"


def collect(iterator: Any, name: str) -> DynamicObjectRefGenerator[Any]:
    """In the worker: stores each item; an exception becomes the last of them.

    Raises:
        TypeError: it is no iterator.
    """
    if isinstance(iterator, DynamicObjectRefGenerator):
        return iterator  # an asynchronous actor stored them already
    if not hasattr(iterator, "__next__"):
        from sundog import _errors

        raise _errors.no_generator(name, iterator)
    refs: list[_core.ObjectRef[Any]] = []
    try:
        for item in iterator:
            refs.append(_core.put_result(item))
    except Exception as error:
        refs.append(_core.put_error(error, name))
    return DynamicObjectRefGenerator(refs)


def first_items(
    iterator: Iterator[Any], wanted: int, name: str
) -> tuple[list[Any], Exception | None]:
    """In the worker: what a task with ``num_returns=wanted`` yields, and what it raised too early.

    An exception behind the last result is told on stderr: there is no result to carry it.

    Raises:
        ValueError: it yields more or fewer items.
    """
    items: list[Any] = []
    try:
        for item in iterator:
            items.append(item)
            if len(items) > wanted:
                break
    except Exception as error:
        if len(items) < wanted:
            return items, error
        from sundog import _log

        _log.warning(
            f"{name}() raised behind its {wanted} results, which are valid: "
            f"{type(error).__name__}: {error}"
        )
    if len(items) != wanted:
        from sundog import _errors

        raise _errors.wrong_number_of_items(name, wanted, len(items))
    return items, None


class LocalGenerator(Generic[T]):
    """With ``init(local_mode=True)``: each ``next`` runs the generator here to its next yield."""

    def __init__(self, iterator: Any, name: str, let_through: Callable[[Exception], None]) -> None:
        """``let_through`` raises an exception that is for the program, not for the consumer."""
        self._iterator = iterator
        self._name = name
        self._let_through = let_through
        self._end: _core.ObjectRef[Any] | None = None

    def __iter__(self) -> Iterator[_core.ObjectRef[T]]:
        """Itself."""
        return self

    def __next__(self) -> _core.ObjectRef[T]:
        """The next reference."""
        if self._end is not None:
            raise StopIteration
        try:
            return _core.put_result(next(self._iterator))
        except StopIteration:
            self._end = _core.put_result(None)
            raise
        except Exception as error:
            self._let_through(error)
            self._end = _core.put_error(error, self._name)
            return self._end

    def __aiter__(self) -> AsyncIterator[_core.ObjectRef[T]]:
        """Itself."""
        return self

    async def __anext__(self) -> _core.ObjectRef[T]:
        """The next reference."""
        for ref in self:
            return ref
        raise StopAsyncIteration

    def completed(self) -> _core.ObjectRef[Any]:
        """As of an ObjectRefGenerator; runs what is left."""
        for _ in self:
            pass
        assert self._end is not None
        return self._end

    def next_ready(self) -> bool:
        """Nothing else runs: the next one can always be had."""
        return self._end is None

    def is_finished(self) -> bool:
        """Whether all references were taken."""
        return self._end is not None

    def cancel(self) -> _core.ObjectRef[Any]:
        """Ends the generator if it has not ended; its end."""
        if self._end is None:
            self.close()
        assert self._end is not None
        return self._end

    def close(self) -> None:
        """Ends the generator at its yield."""
        self._end = self._end or _core.put_result(None)
        self._iterator.close()
