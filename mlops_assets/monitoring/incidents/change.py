"""In which way something moved: the mark by which alarms of one cause are known."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Move: TypeAlias = Literal[
    "location",
    "spread",
    "skewness",
    "tails",
    "out_of_range",
    "scaled",
    "stuck",
    "missing",
    "new_values",
    "share",
]
Family: TypeAlias = Literal["values", "presence", "categories"]

_FAMILIES: dict[Move, Family] = {
    "location": "values",
    "spread": "values",
    "skewness": "values",
    "tails": "values",
    "out_of_range": "values",
    "scaled": "values",
    "stuck": "values",
    "missing": "presence",
    "new_values": "categories",
    "share": "categories",
}
# Moves that the world does not make by itself.
_FAULTS: frozenset[Move] = frozenset(("scaled", "stuck", "missing", "new_values"))
# As the components of alarms are called.
_FIGURES: dict[str, Move] = {
    "out of range": "out_of_range",
    "new values": "new_values",
    "location": "location",
    "spread": "spread",
    "skewness": "skewness",
    "tails": "tails",
    "missing": "missing",
}
_WORDS: dict[Move, str] = {
    "location": "values moved",
    "spread": "values spread otherwise",
    "skewness": "values lie to another side",
    "tails": "extremes are of another frequency",
    "out_of_range": "values lie where none lay before",
    "scaled": "values are scaled",
    "stuck": "the value does not change any more",
    "missing": "values are missing",
    "new_values": "there are values that were never seen before",
    "share": "categories have other shares",
}


class Change(BaseModel):
    """How something moved.

    Attributes:
        move: The kind of move.
        category: Whose share it is, of a ``share``.
        factor: By what all values are multiplied, of a ``scaled``.
        before: What it used to be: a share for ``missing``, ``new_values``, ``out_of_range`` and ``share``,
            else in the column's own unit.
        now: What it is.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    move: Move
    category: str | None = None
    factor: float | None = None
    before: float | None = None
    now: float | None = None

    @classmethod
    def of_figure(cls, figure: str, before: float | None = None, now: float | None = None) -> "Change":
        """Return the change that a figure of an alarm tells.

        Args:
            figure: Its name, as in :class:`mlops_assets.monitoring.alarms.components.Components`.
            before: What it used to be.
            now: What it is.
        """
        if figure.startswith("= "):
            return cls(move="share", category=figure[2:], before=before, now=now)
        return cls(move=_FIGURES[figure], before=before, now=now)

    @property
    def family(self) -> Family:
        """What of the column changed; one fault shows in one of these, though by several figures."""
        return _FAMILIES[self.move]

    @property
    def is_a_fault(self) -> bool:
        """Whether hardly anything but a fault makes such a move."""
        return self.move in _FAULTS

    @property
    def words(self) -> str:
        """The move in a few words."""
        said = _WORDS[self.move]
        if self.move == "share" and self.category is not None:
            said = f"the share of {self.category!r} changed"
        if self.move == "scaled" and self.factor is not None:
            said = f"values are multiplied by about {self.factor:.4g}"
        if self.before is None or self.now is None:
            return said
        shares = self.move in ("missing", "new_values", "out_of_range", "share")
        before, now = (f"{x:.1%}" if shares else f"{x:.4g}" for x in (self.before, self.now))
        return f"{said}, {before} before and {now} now"
