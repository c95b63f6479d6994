"""The log answers as a plain list of all that was ever said to it would."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.instants import instant, microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction import Label
from mlops_assets.prediction_log.records import LABEL, RATING, SHADOW, kpi
from mlops_assets_tests.prediction_log.histories import FOREVER, History, at, hour


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "log")
    yield made
    made.close()


@pytest.fixture
def log(history: History) -> PredictionLog:
    return PredictionLog(history.folder)


def labels(log: PredictionLog, known_by: float = 1000, **which: Any) -> dict[str, Any]:
    found = log.window("m", hour(0), hour(24), hour(known_by), **which)
    return {i: None if v != v else v for i, v in zip(found["prediction_id"], found[LABEL], strict=True)}


def rows(log: PredictionLog, model: str, start: float, end: float, known_by: float, arm: str | None) -> Any:
    found = log.window(model, hour(start), hour(end), hour(known_by), arm=arm)
    return [
        (row["prediction_id"], microseconds(row["event_time"]), row["output"], row["inputs"],
         None if row["label"] != row["label"] else row["label"])
        for row in found.to_dict("records")
    ]  # fmt: skip


HOURS = st.sampled_from([0, 1, 2, 5, 23, 24, 30, 48])
MODELS = st.sampled_from(["m", "n"])
ENTITIES = st.sampled_from(["e", "f"])
VALUES = st.sampled_from(["yes", "no", "perhaps"])
ACTIONS = st.one_of(
    st.tuples(
        st.just("answer"), MODELS, st.lists(HOURS, min_size=1, max_size=3), st.booleans(),
        st.sampled_from(["champion", "canary", SHADOW]),
        st.lists(ENTITIES, min_size=3, max_size=3) | st.none(),
    ),
    st.tuples(st.just("shadow of"), st.integers(0, 9)),
    st.tuples(st.just("label"), MODELS, st.integers(0, 9), VALUES, HOURS),
    st.tuples(st.just("label entity"), MODELS, ENTITIES, HOURS, VALUES, HOURS),
    st.tuples(st.just("fail"), MODELS, st.sampled_from([400, 422, 500]), HOURS),
    st.just(("rotate",)),
    st.just(("compact",)),
)  # fmt: skip


def perform(history: History, action: tuple[Any, ...]) -> None:
    match action:
        case ("answer", model, hours, probe, arm, entities):
            history.answer(
                hours, model=model, probe=probe, arm=arm, entities=entities and entities[: len(hours)]
            )
        case ("shadow of", n) if len(history.served) > n:
            original = history.served[n]
            if "-" not in original.id and not original.probe and original.arm != SHADOW:
                history.answer(
                    [(original.time - at(0)) / 3.6e9], model=original.model, arm=SHADOW, base=original.id,
                    entities=original.entity and [original.entity],
                )  # fmt: skip
        case ("label", model, n, value, observed):
            known = history.served[n].id if len(history.served) > n else "unknown"
            history.label((known, value, observed), model=model)
        case ("label entity", model, entity, time, value, observed):
            history.label_entity((entity, time, value, observed), model=model)
        case ("fail", model, status, time):
            history.fail(status, time, model)
        case ("rotate",):
            history.rotate()
        case ("compact",):
            compact(history.folder)


@settings(max_examples=120, deadline=None)
@given(st.lists(ACTIONS, max_size=25), MODELS, HOURS, HOURS, HOURS, st.sampled_from([None, "canary", SHADOW]))
def test_any_history_reads_as_it_was_written(
    actions: list[tuple[Any, ...]], model: str, start: int, end: int, known_by: int, arm: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        for action in actions:
            perform(history, action)
        history.close()
        log = PredictionLog(history.folder)
        seen = {s.id: s for s in reversed(history.served) if s.arm != SHADOW}
        for _ in range(2):
            assert rows(log, model, start, end, known_by, arm) == history.expected(
                model, start, end, known_by, arm=arm
            )
            assert rows(log, model, 0, 61, 61, None) == history.expected(model, 0, 61, 61)
            failed = [(t, s) for m, t, s in history.failures if m == model and at(start) <= t < at(end)]
            times, statuses = log.failures(model, hour(start), hour(end))
            assert sorted(zip(times.astype(int).tolist(), statuses.tolist(), strict=True)) == sorted(failed)
            assert log.models() == sorted({s.model for s in history.served})
            assert log.has_answered(model) == (model in log.models())
            for identity, served in list(seen.items())[:3]:
                found = log.find(identity)
                assert found is not None
                assert (found.model, found.inputs, found.output) == (
                    served.model,
                    served.inputs,
                    served.output,
                )
                value = None if served.probe else history._value(served, LABEL, 61)
                label = log.label(identity)
                assert served.probe or (label.label if label else None) == value
            assert log.losses() == []
            compact(history.folder)  # and once more, when all is in Parquet


def test_what_was_answered_comes_back(history: History, log: PredictionLog) -> None:
    inputs = {"a": [1, 2.0], "s": ["é", None], "label": [True, False]}
    first, second = history.answer([0, 1], columns=inputs, outputs=[[0.1, 0.9], 0.5], entities=["e", "f"])
    for _ in range(2):
        found = log.window("m", hour(0), hour(24), FOREVER)
        assert found["prediction_id"].tolist() == [first, second]
        assert repr(found["inputs"].tolist()) == repr(
            [{"a": 1.0, "s": "é", "label": True}, {"a": 2.0, "s": None, "label": False}]
        ), "a whole number among others is a floating-point one"
        assert found["output"].tolist() == [[0.1, 0.9], 0.5]
        assert found["event_time"].tolist() == [hour(0), hour(1)]
        assert found["latency_ms"].tolist() == [3.0, 3.0]
        assert found["arm"].tolist() == ["champion"] * 2
        one = log.find(second)
        assert one is not None
        assert (one.version, one.event_time, one.served_at) == ("1", hour(1), hour(0))
        assert (one.caller, one.entity, one.latency_ms) == ("me", "f", 3.0)
        assert log.find("unknown") is log.find("\udce9") is log.label("é") is None
        history.rotate()
        compact(history.folder)


def test_a_log_that_nobody_wrote_to_is_empty(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "none")
    assert log.window("m", hour(0), hour(1), FOREVER).empty
    assert [len(each) for each in log.failures("m", hour(0), hour(1))] == [0, 0]
    assert log.find("x") is log.label("x") is None
    assert not log.has_answered("m")
    assert log.models() == log.losses() == []
    assert log.forget("m", FOREVER) == 0
    assert not (tmp_path / "none").exists()


def test_a_request_without_event_times_happened_when_it_was_served(
    history: History, log: PredictionLog
) -> None:
    (made,) = history.answer(served_at=5)
    found = log.find(made)
    assert found is not None
    assert found.event_time == found.served_at == hour(5)


def test_a_label_counts_from_when_it_was_known_and_a_later_one_corrects_it(
    history: History, log: PredictionLog
) -> None:
    one, two, three = history.answer([0, 1, 2])
    history.label((one, 0, 30), (two, "late", 30))
    history.label((one, 1, 50))
    history.label((two, "early", 30))  # said twice for one time: the last word counts
    history.label((one, 7, 40))  # an older one that arrives later corrects nothing
    assert labels(log, 29) == {one: None, two: None, three: None}
    assert labels(log, 30) == {one: 0, two: "early", three: None}
    assert labels(log, 50) == {one: 1, two: "early", three: None}
    assert log.label(two) == Label(two, "early", hour(30))
    assert log.label(three) is None


def test_a_label_that_comes_before_its_prediction_is_compacted_and_one_after(
    history: History, log: PredictionLog
) -> None:
    one, two = history.answer([0, 1])
    history.label((one, "yes", 30))
    history.rotate()
    compact(history.folder)
    history.label((two, "no", 40), (one, "corrected", 40))
    assert labels(log) == {one: "corrected", two: "no"}
    history.rotate()
    compact(history.folder)
    assert labels(log) == {one: "corrected", two: "no"}
    assert labels(log, 35) == {one: "yes", two: None}


def test_an_entitys_label_belongs_to_its_newest_prediction_at_or_before_it(
    history: History, log: PredictionLog
) -> None:
    (first,), (second,) = history.answer([1], entities=["e"]), history.answer([3], entities=["e"])
    (other,) = history.answer([2], entities=["f"])
    history.answer([4], entities=["e"], probe=True)
    history.label_entity(("e", 0.5, "too early", 9), ("e", 2.9, "first", 9), ("e", 20, "second", 9))
    history.label_entity(("nobody", 9, "nothing", 9))
    expected = {first: "first", other: None, second: "second"}
    assert labels(log) == expected
    history.rotate()
    compact(history.folder)
    assert labels(log) == expected
    later = log.window("m", hour(0), hour(2), FOREVER)
    assert later[LABEL].tolist() == ["first"], "a prediction behind the window takes what is its own"


def test_an_entitys_label_reaches_a_prediction_of_its_very_moment_and_of_those_the_last(
    history: History, log: PredictionLog
) -> None:
    (later,) = history.answer([5], entities=["e"])
    first, last = history.answer([1, 1], entities=["e", "e"])
    history.label_entity(("e", 5, "five", 9), ("e", 1, "one", 9))
    assert labels(log) == {first: None, last: "one", later: "five"}


def test_of_labels_by_id_and_by_entity_the_last_word_counts(history: History, log: PredictionLog) -> None:
    one, two = history.answer([1, 2], entities=["e", "f"])
    history.label_entity(("e", 1, "entity", 9))
    history.label((one, "id", 9), (two, "id", 9))
    history.label_entity(("f", 2, "entity", 9))
    for _ in range(2):
        assert labels(log) == {one: "id", two: "entity"}
        history.rotate()
        compact(history.folder)


def test_the_shadow_has_answers_of_its_own_and_the_labels_of_the_request(
    history: History, log: PredictionLog
) -> None:
    (made,) = history.answer([1], entities=["e"], outputs=[0.1])
    history.answer([1], entities=["e"], outputs=[0.9], arm=SHADOW, base=made, version="2")
    history.label((made, "yes", 5))
    assert log.window("m", hour(0), hour(9), FOREVER)["output"].tolist() == [0.1]
    shadow = log.window("m", hour(0), hour(9), FOREVER, arm=SHADOW)
    assert (shadow["output"].tolist(), shadow["label"].tolist()) == ([0.9], ["yes"])
    found = log.find(made)
    assert found is not None
    assert found.output == 0.1


def test_kinds_of_feedback_do_not_mix(history: History, log: PredictionLog) -> None:
    (made,) = history.answer([1])
    history.label((made, "yes", 5))
    history.label((made, 4, 6), kind=RATING)
    history.label((made, 19.9, 7), kind=kpi("revenue"))
    kinds = (LABEL, RATING, kpi("revenue"), kpi("clicks"))
    found = log.window("m", hour(0), hour(9), FOREVER, kinds=kinds).iloc[0]
    assert [found[kind] for kind in kinds] == ["yes", 4, 19.9, None]


def test_a_model_that_is_called_like_a_path_stays_in_the_log(history: History, log: PredictionLog) -> None:
    names = ["../../up", "a/b", "..", "é%2F"]
    made = {name: history.answer([1], model=name)[0] for name in names}
    history.rotate()
    compact(history.folder)
    assert log.models() == sorted(names)
    for name, identity in made.items():
        assert log.window(name, hour(0), hour(2), FOREVER)["prediction_id"].tolist() == [identity]
    assert {file.name for file in history.folder.parent.iterdir()} == {"log"}


def test_what_is_forgotten_is_gone_and_the_rest_stays(history: History, log: PredictionLog) -> None:
    """By when it was written: the one that is kept is about an event long before the other's."""
    old, kept = history.answer([50], served_at=1)[0], history.answer([-900], served_at=50)[0]
    theirs = history.answer([1], model="n")[0]
    history.label((old, "yes", 2), (kept, "no", 60))
    history.fail(422, 2)
    history.rotate()
    compact(history.folder)
    assert log.forget("m", hour(24)) == 2
    assert log.find(old) is log.label(old) is None
    assert log.find(kept) is not None
    assert log.find(theirs) is not None
    assert log.label(kept) == Label(kept, "no", hour(60)), "labels are of today, whatever they are about"
    assert log.failures("m", hour(0), hour(24))[1].tolist() == []
    assert log.forget("m", FOREVER) == 3
    assert log.find(kept) is None
    on_disk = [file.read_bytes() for file in history.folder.glob("parquet/*/*/*")]
    assert len(on_disk) == 1
    assert not any(old.encode() in content for content in on_disk)


def test_instants_are_exact() -> None:
    for time in (hour(0), hour(1.000_000_3), instant(-1), instant(253_402_300_799_999_999)):
        assert instant(microseconds(time)) == time


LABELS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0, 1]), VALUES, st.sampled_from(range(2, 24))),
    min_size=1, max_size=8, unique_by=lambda said: (said[1], said[3]),
)  # fmt: skip


@given(LABELS, st.data())
def test_labels_may_come_in_any_order_and_any_number_of_times(
    said: list[tuple[bool, int, str, int]], data: st.DataObject
) -> None:
    """By prediction or by entity, early or late, corrected and repeated: what was observed last counts."""
    arrivals = data.draw(st.permutations(said + data.draw(st.lists(st.sampled_from(said), max_size=4))))
    breaks = data.draw(st.sets(st.integers(0, len(arrivals)), max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        made = history.answer([1, 1], entities=["e", "f"])
        for place, (by_entity, which, value, observed) in enumerate(arrivals):
            if place in breaks:
                history.rotate()
                compact(history.folder)
            if by_entity:
                history.label_entity(("ef"[which], 1.5, value, observed))
            else:
                history.label((made[which], value, observed))
        history.close()
        log = PredictionLog(history.folder)
        for known_by in (1, 5, 12, 24):
            expected = {
                identity: max(
                    ((observed, value) for _, which, value, observed in said
                     if made[which] == identity and observed <= known_by),
                    default=(0, None),
                )[1]
                for identity in made
            }  # fmt: skip
            assert labels(log, known_by) == expected
