"""Whom a request is about, and what of it the prediction log keeps.

An entity is text, however it was sent, so that feedback finds it by what people call it: 7, 7.0 and "7" are
one. Where the spec asks for a pseudonym, feedback's entities become the same one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.sensitive import Pseudonyms, Treatment
from mlops_assets.serving.refusal import Refusal
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    from mlops_assets.serving.rows import Rows
    from mlops_assets.serving.usual_requests import Decoded

ENTITY_HEADER = "x-mlops-entity"
LONGEST_ENTITY = 256

Entities = Sequence[str | None]


def treatments_of(manifest: Manifest) -> dict[str, Treatment]:
    """Return what becomes of a version's columns in the log, of those that are not kept as they are."""
    found: dict[str, Treatment] = {c.name: c.log for c in manifest.inputs if c.log != "keep"}
    if manifest.entity and manifest.entity.log == "hash":
        found.setdefault(manifest.entity.column, "hash")
    return found


def entities_of(
    rows: "Rows | Decoded", manifest: Manifest, named: str | None = None
) -> list[str | None] | None:
    """Return whom or what each row of a request is about; None if nobody said.

    Args:
        rows: The rows, of which a column may tell it.
        manifest: Says which.
        named: Whom a header of the request names, for all of its rows and before any column.

    Raises:
        Refusal: 400: an entity is neither text nor a number, or too long.
    """
    if named is not None:
        return [_entity(named, ENTITY_HEADER)] * len(rows)
    if manifest.entity is None:
        return None
    column = manifest.entity.column
    if (values := rows.column(column)) is None:
        return None
    return entities_in(values, column)


def entities_in(values: Iterable[Any], column: str) -> list[str | None]:
    """Return whom or what each value of a column names.

    Raises:
        Refusal: 400: one is neither text nor a number, or too long.
    """
    return [_entity(value, f"column {column!r}, row {row}") for row, value in enumerate(values)]


def only(entities: Entities | None) -> str | None:
    """Return the entity that all rows of a request are about, if they are about one."""
    return entities[0] if entities and len({*entities}) == 1 else None


def entity_named(value: Any, where: str) -> str:
    """Return the entity that feedback names; ``where`` begins what is said of one that is none.

    Raises:
        Refusal: 400: it is neither text nor a number, or there is none.
    """
    if (entity := _entity(value, f"{where}'entity'")) is None:
        raise Refusal(400, f"{where}'entity' must be text or a number")
    return entity


def as_logged(entities: Entities, manifest: Manifest, pseudonyms: Pseudonyms) -> list[str | None]:
    """Return entities as the log keeps them."""
    entity = manifest.entity
    if entity is None or entity.column not in treatments_of(manifest):
        return [*entities]
    return [pseudonyms.of(entity.column, each) for each in entities]


def message_logged(message: str, treatments: Mapping[str, Treatment]) -> str:
    """Return what the log keeps of what was wrong with a request: what that quotes may be a treated value."""
    return "not kept: it may quote what the log must not keep" if treatments else message


def _entity(value: Any, where: str) -> str | None:
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise Refusal(400, f"{where}: an entity must be text or a number")
    text = str(value)
    if len(text) > LONGEST_ENTITY:
        raise Refusal(400, f"{where}: an entity has at most {LONGEST_ENTITY} characters, not {len(text):,}")
    return text
