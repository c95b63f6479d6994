"""Which point of which framework is answered where."""

from typing import get_args

import pytest

from mlops_assets.governance.frameworks import AI_RMF, ANNEX_IV, POINTS, Heading, Point, references


def test_every_point_of_annex_iv_is_there_in_its_order() -> None:
    points = [f"1({x})" for x in "abcdefgh"] + [f"2({x})" for x in "abcdefgh"] + list("3456789")
    assert [point.place for point in ANNEX_IV] == [f"Annex IV {point}" for point in points]


def test_all_functions_of_the_ai_rmf_are_answered() -> None:
    assert {point.place.partition(" ")[0] for point in AI_RMF} == {"GOVERN", "MAP", "MEASURE", "MANAGE"}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.place)
def test_a_point_is_answered_with_evidence_or_tells_what_the_provider_has_to_add(point: Point) -> None:
    assert point.evidence or point.provider
    assert bool(point.headings) <= bool(point.evidence)


def test_no_point_is_there_twice() -> None:
    assert len({point.place for point in POINTS}) == len(POINTS)


@pytest.mark.parametrize("heading", get_args(Heading))
def test_a_heading_tells_what_it_answers(heading: Heading) -> None:
    told = references(heading)
    assert told.startswith("EU AI Act Annex IV ")
    assert " · NIST AI RMF " in told


def test_references_say_what_they_begin_with_once() -> None:
    assert references("Residual risks") == "EU AI Act Annex IV 3, 5 · NIST AI RMF MAP 5.1, MANAGE 1.4"
