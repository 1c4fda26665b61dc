"""From JSON to the answers' dataclasses, as tolerant as a client of newer servers must be.

Unknown fields are passed over; missing ones get their default. A value of another kind than
promised is an error that names its place.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, Union

from client.errors import UnreadableAnswer

T = TypeVar("T")

RAW = "raw"
"""A field of this name gets the whole JSON object that was read."""


def read(kind: type[T], data: Any, where: str = "answer") -> T:
    """Return `data`, parsed JSON, as an object of a dataclass.

    Raises:
        UnreadableAnswer: it is no object, lacks a field without a default, or a value is of
            another kind than the field.
    """
    if not isinstance(data, Mapping):
        raise _unreadable(where, "an object", data)
    values: dict[str, Any] = {}
    shape: Any = kind
    for field, hint in _fields(shape):
        if field.name == RAW:
            values[RAW] = data
        elif data.get(field.name) is not None:
            values[field.name] = _value(hint, data[field.name], f"{where}.{field.name}")
        elif _needed(field):
            raise UnreadableAnswer(f"The server's {where} has no {field.name!r}.")
    return kind(**values)


@cache
def _fields(kind: Any) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(kind))


def _needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _value(hint: Any, data: Any, where: str) -> Any:  # noqa: PLR0911 - one line for each kind
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return data
    if origin in {Union, types.UnionType}:
        (inner,) = (one for one in arguments if one is not type(None))
        return _value(inner, data, where)
    if origin is tuple:
        items = _expect(list, data, where, "a list")
        return tuple(_value(arguments[0], one, f"{where}[{n}]") for n, one in enumerate(items))
    if origin is Mapping or origin is dict:
        pairs = _expect(Mapping, data, where, "an object")
        return {
            key: _value(arguments[1], one, f"{where}.{key}")
            for key, one in pairs.items()
            if one is not None  # as a field that is null: it is not there
        }
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return read(hint, data, where)
    if hint is datetime:
        return _time(_expect(str, data, where, "a time"), where)
    if hint is float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise _unreadable(where, "a number", data)
        return float(data)
    if hint is int and isinstance(data, bool):
        raise _unreadable(where, "a whole number", data)
    return _expect(hint, data, where, f"of type {hint.__name__}")


def _expect(kind: Any, data: Any, where: str, what: str) -> Any:
    if not isinstance(data, kind):
        raise _unreadable(where, what, data)
    return data


def _time(text: str, where: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _unreadable(where, "a time", text) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _unreadable(where: str, what: str, data: Any) -> UnreadableAnswer:
    return UnreadableAnswer(f"The server's {where} is not {what}: {str(data)[:80]!r}.")
