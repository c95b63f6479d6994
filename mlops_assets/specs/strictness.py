"""Which way a demand gets stricter: what lets a spec tighten the policy and never loosen it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, SerializerFunctionWrapHandler, create_model, model_serializer
from pydantic.fields import FieldInfo

from mlops_assets.specs.part import Part

Way = Literal["lower", "higher", "more", "fewer", "later", "unchanged"]


@dataclass(frozen=True)
class Stricter:
    """Marks a field of a policy.

    Attributes:
        way: The direction in which the demand gets stricter; None as a value demands nothing.
        limit: Whether what a gate measured is held against it; otherwise it says how to measure.
        order: The values of a demand that gets stricter the later in this order it stands.
    """

    way: Way
    limit: bool = False
    order: tuple[str, ...] = ()


_P = TypeVar("_P", bound=Part)

AtMost = Annotated[float | None, Stricter("lower", limit=True)]
AtLeast = Annotated[float | None, Stricter("higher", limit=True)]


@dataclass(frozen=True)
class Loosening:
    """A demand that is weaker than the one it stands in for."""

    path: tuple[str, ...]
    demanded: Any
    given: Any


def stricter_way(kind: type[BaseModel], name: str) -> Stricter | None:
    """Return how a field of a part of the policy is marked."""
    marks = (mark for mark in kind.model_fields[name].metadata if isinstance(mark, Stricter))
    return next(marks, None)


def loosenings(demanded: Part, given: BaseModel) -> Iterator[Loosening]:
    """Yield what ``given`` demands less of than ``demanded``; what it leaves out it does not loosen.

    Args:
        demanded: A part of the policy.
        given: The same part, or one made by :func:`partial`, of which only set fields count.
    """
    kind = type(demanded)
    for name in given.model_fields_set & kind.model_fields.keys():
        old, new = getattr(demanded, name), getattr(given, name)
        for where, before, after in _parts(old, new):
            for found in loosenings(before, after):
                yield Loosening((name, *where, *found.path), found.demanded, found.given)
        if (mark := stricter_way(kind, name)) and _is_looser(mark, old, new):
            yield Loosening((name,), old, new)


def _parts(old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], Part, BaseModel]]:
    """Yield the nested parts that both values have, with the path to them."""
    if isinstance(old, Part) and isinstance(new, BaseModel):
        yield (), old, new
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() & new.keys():
            yield (str(key),), old[key], new[key]


def _is_looser(mark: Stricter, old: Any, new: Any) -> bool:
    way = mark.way
    if old is None or old == new:
        return False
    if new is None or way == "unchanged":
        return True
    if way in ("more", "fewer"):
        larger, smaller = (new, old) if way == "more" else (old, new)
        return not set(smaller) <= set(larger)
    if way == "later":
        return mark.order.index(new) < mark.order.index(old)
    return bool(new > old if way == "lower" else new < old)


def tightened(demanded: _P, given: BaseModel | None) -> _P:
    """Return ``demanded`` with what ``given`` sets in its place; what stands by key is put together."""
    if given is None:
        return demanded
    update: dict[str, Any] = {}
    for name in given.model_fields_set & type(demanded).model_fields.keys():
        old, new = getattr(demanded, name), getattr(given, name)
        update[name] = _together(old, new)
    return demanded.model_copy(update=update)


def _together(old: Any, new: Any) -> Any:
    if isinstance(old, Part):
        return tightened(old, new)
    if isinstance(old, dict):
        return {**old, **{k: _together(old[k], v) if k in old else v for k, v in new.items()}}
    return new


class _PartialPart(Part):
    """Base of what may leave values out; what it leaves out, it leaves out when it is written again too."""

    @model_serializer(mode="wrap")
    def _only_what_is_set(self, written: SerializerFunctionWrapHandler) -> dict[str, Any] | None:
        return _set_only(self, written)


def _set_only(part: _PartialPart | None, written: SerializerFunctionWrapHandler) -> dict[str, Any] | None:
    if part is None:  # pydantic asks for parts that are left out, too
        return None
    return {name: value for name, value in written(part).items() if name in part.model_fields_set}


def partial(kind: type[Part]) -> type[Part]:
    """Return the same schema with every field optional, all the way down: what a file may leave out.

    What is left out is not set, and None as a value stays an error where the schema knows no None.
    """
    fields: dict[str, Any] = {}
    for name, declared in kind.model_fields.items():
        annotation: Any = declared.annotation
        if isinstance(annotation, type) and issubclass(annotation, Part):
            annotation = partial(annotation)
        fields[name] = (
            annotation,
            # What is written is kept, though it be what would hold anyway: it may stand over another value.
            FieldInfo.merge_field_infos(
                declared, annotation=annotation, default=None, default_factory=None, exclude_if=None
            ),
        )
    return cast(type[Part], create_model(f"Partial{kind.__name__}", __base__=_PartialPart, **fields))
