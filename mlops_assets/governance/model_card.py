"""The gate on the model card: whether people are told what they have to be told."""

import re
import unicodedata

from mlops_assets.specs.gate_rules import CardSection, ModelCardRules
from mlops_assets.specs.model_spec import Card, ModelSpec
from mlops_assets.verdict import Figure, Finding, Measurement

_SHORTEST = 10
# What people write where something else should stand, as whole texts and as beginnings of one.
_PLACEHOLDERS = """
    todo tbd tba tbc fixme xxx placeholder lorem ipsum dolor sit amet n a na none nil null nothing unknown
    to be done defined determined decided announced added completed written fill in me this here later
    coming soon not applicable available yet see above below same as insert write your text something
    description purpose limits groups residual risks test foo bar baz asdf qwerty bla blah
"""
_BEGINNINGS = ("todo", "tbd", "tba", "tbc", "fixme", "xxx", "lorem ipsum", "to be done", "to be defined",
               "to be determined", "placeholder")  # fmt: skip
_NOBODY = frozenset({"nobody", "noone", "none", "unknown", "owner", "someone", "anyone"})


def measure_model_card(spec: ModelSpec, rules: ModelCardRules) -> Measurement:
    """Measure which sections a model's card has to have and has not.

    A section counts as missing too if its text is a placeholder: nothing but words or marks that people
    put where something has yet to be written, or the text of another section once more.

    Args:
        spec: The model's spec.
        rules: What the policy demands.
    """
    problems: dict[CardSection, str] = {}
    seen: dict[str, CardSection] = {}
    for section in rules.sections:
        text = _text(spec, section)
        if problem := _problem(section, text, seen):
            problems[section] = problem
        seen.setdefault(_plain(text), section)
    demanded = len(rules.sections)
    return Measurement(
        gate="model_card",
        summary=f"{len(problems)} of {demanded} demanded sections are missing"
        + (f" ({', '.join(problems)})" if problems else ""),
        figures=(
            Figure(
                name="missing sections",
                value=len(problems),
                limit="max_missing",
                note="; ".join(f"{_place(section)} {problem}" for section, problem in problems.items()),
            ),
            Figure(name="demanded sections", value=demanded),
        ),
        findings=tuple(_finding(section, problem) for section, problem in problems.items()),
    )


def _text(spec: ModelSpec, section: CardSection) -> str:
    """Return what a section says; of an owner who, without the word team."""
    if section in Card.model_fields:
        return getattr(spec.card, section) or ""
    if section == "owner":
        return spec.owner.removeprefix("team:").partition("@")[0]
    return spec.purpose


def _problem(section: CardSection, text: str, seen: dict[str, CardSection]) -> str:
    plain = _plain(text)
    if not text.strip():
        return "is missing"
    if _names_nobody(plain) if section == "owner" else _is_placeholder(plain):
        return f"is a placeholder ({text.strip()[:40]!r})"
    if section == "owner":
        return ""  # a name may be short, and the same as another word
    if len(text.strip()) < _SHORTEST:
        return f"is shorter than {_SHORTEST} characters"
    return f"repeats {_place(seen[plain])}" if plain in seen else ""


def _plain(text: str) -> str:
    """Return the words of a text, in small letters and without marks."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold().replace("_", " ")))


def _is_placeholder(plain: str) -> bool:
    words = plain.split()
    letters = {letter for letter in plain if letter.isalpha()}
    repeats = len(words) > 2 and len(set(words)) == 1
    return _begins_so(plain) or repeats or len(letters) < 2 or set(words) <= set(_PLACEHOLDERS.split())


def _names_nobody(plain: str) -> bool:
    return _begins_so(plain) or plain in _NOBODY


def _begins_so(plain: str) -> bool:
    return any(plain == start or plain.startswith(f"{start} ") for start in _BEGINNINGS)


def _place(section: CardSection) -> str:
    return f"card.{section}" if section in Card.model_fields else section


def _finding(section: CardSection, problem: str) -> Finding:
    kind = Card if section in Card.model_fields else ModelSpec
    wanted = kind.model_fields[section].description or ""
    return {"section": section, "problem": problem, "write": f"{_place(section)} in the spec: {wanted}"}
