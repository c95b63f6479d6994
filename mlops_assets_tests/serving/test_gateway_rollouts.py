"""While a version is rolled out, who is answered by which, and what is there to tell of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx
import orjson
import pandas as pd
import pytest

from mlops_assets.errors import RolloutError, StorageError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.rollout_proof import PassedStep, RolloutProof
from mlops_assets.registry.port import TRAFFIC_TAG
from mlops_assets.registry.promotion import Move
from mlops_assets.registry.proof import Refused
from mlops_assets.registry.rollout_look import follow, look, one_round
from mlops_assets.rollout.plan import steps
from mlops_assets.serving.marks import Marks, entered_in, tried_in
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.fleets import Listening, constant
from mlops_assets_tests.rollouts import Trial, rollout_rules

ROW = {"dataframe_records": [{"x": 1.0}]}


@pytest.fixture
def inside(own_fleet: Any, gateway_in_process: Any) -> Any:
    home = own_fleet.home
    chain, verifier = AuditChain(home.state_url, home.audit_checkpoints), own_fleet.signer.verifier
    marks = Marks(None, entered_in(chain, verifier), tried_in(chain, verifier))
    with gateway_in_process(own_fleet, marks=marks) as made:
        yield made


def ask(inside: Any, count: int = 1) -> Counter[str]:
    """Ask that often; return how many answers each version gave."""
    versions: Counter[str] = Counter()
    for _ in range(count):
        answer = inside.client.post("/models/m/invocations", json=ROW)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [float(answer.json()["version"])]
        versions[answer.json()["version"]] += 1
    return versions


@dataclass
class Front:
    """What answers usual requests, as a client sees it, and which requests it passed on."""

    client: httpx.Client
    passed_on: list[str]

    def ask(self, rows: Any = ROW, **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/models/m/invocations", json=rows, headers=sent)


@pytest.fixture
def front(inside: Any) -> Iterator[Front]:
    with (
        Listening(inside) as listening,
        httpx.Client(base_url=listening.url, trust_env=False) as client,
    ):
        yield Front(client, listening.passed_on)


def problems(inside: Any) -> list[tuple[str, str | None]]:
    return [(p.kind, p.version) for p in inside.router.table.problems]


def begun(inside: Any, own_fleet: Any, **rules: Any) -> Trial:
    trial = Trial(own_fleet, rollout_rules(**rules))
    trial.promote("1")
    trial.begin("2")
    inside.settle()
    return trial


def test_a_challenger_answers_its_share_and_goes_on_to_serve(inside: Any, own_fleet: Any) -> None:
    trial = begun(inside, own_fleet)
    first = ask(inside, 400)
    assert 40 < first["2"] < 130, first
    assert "version 2: canary 20 %" in inside.client.get("/fleet").text
    assert "<td>challenger, canary 20 %</td>" in inside.client.get("/fleet/m").text

    moved = []
    for _ in range(30):
        traffic = trial.rollouts.running("m")
        if traffic is None:
            break
        seen = look(trial.rollouts, traffic, trial.log, utc_now())
        done = follow(trial.rollouts, seen, actor="tests")
        if done is not None:
            moved.append(done)
        inside.settle()
        ask(inside, 100)

    assert isinstance(moved[-1], Move)
    assert [each.percent for each in moved[:-1]] == [50]
    assert ask(inside, 20) == {"2": 20}
    assert problems(inside) == []
    release = trial.authority.release("m")
    assert release is not None
    assert release.rollout is not None
    assert [step.percent for step in release.rollout.passed] == [20, 50]


def test_an_altered_or_old_record_sends_nobody_to_the_challenger(inside: Any, own_fleet: Any) -> None:
    trial = begun(inside, own_fleet)
    first = own_fleet.registry.version("m", "2").tags[TRAFFIC_TAG]
    own_fleet.registry.set_tag("m", "2", TRAFFIC_TAG, first.replace('"percent":20', '"percent":90'))
    inside.settle()
    assert ask(inside, 50) == {"1": 50}
    assert problems(inside) == [("traffic_refused", "2")]

    own_fleet.registry.set_tag("m", "2", TRAFFIC_TAG, first)
    inside.settle()
    assert problems(inside) == []
    traffic = trial.rollouts.running("m")
    trial.rollouts.end(traffic, "enough", actor="tests")
    inside.settle()
    assert ask(inside, 50) == {"1": 50}
    own_fleet.registry.set_alias("m", "challenger", "2")
    own_fleet.registry.set_tag("m", "2", TRAFFIC_TAG, first)
    inside.settle()
    assert ask(inside, 50) == {"1": 50}


FRAGILE = '''
"""Features of a model that cannot take large numbers."""


def compute(rows):
    """Return x, if it is small."""
    if (rows["x"] > 100).any():
        raise ValueError("x is too large for me")
    return rows[["x"]]
'''


def fragile(fleet: Any) -> str:
    """Register a version of ``m`` that answers 4 and fails on large numbers; return its number."""
    return str(fleet.add(replace(constant("m", 4.0), source=FRAGILE)).version)


def test_where_the_challenger_fails_the_champion_answers_and_the_rollout_is_reverted(
    inside: Any, own_fleet: Any
) -> None:
    number = fragile(own_fleet)
    trial = Trial(own_fleet, rollout_rules(canary=(50,)))
    trial.promote("1")
    trial.begin(number)
    inside.settle()
    for _ in range(200):
        answer = inside.client.post("/models/m/invocations", json={"dataframe_records": [{"x": 1000.0}]})
        assert (answer.status_code, answer.json()["version"]) == (200, "1")

    seen = look(trial.rollouts, trial.rollouts.running("m"), trial.log, utc_now())
    assert seen.decision.action == "revert"
    assert "error_rate worse by" in seen.decision.reason
    follow(trial.rollouts, seen, actor="tests")
    inside.settle()
    assert trial.rollouts.running("m") is None
    assert inside.router.table.routes["m"].rollout is None
    assert [entry.detail["state"] for entry in trial.audit.entries("m") if entry.action == "rollout"] == [
        "running",
        "ended",
    ]


def steep(fleet: Any) -> str:
    """Register a version of ``m`` that has no finite answer for large numbers; return its number."""
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1e30, 2e30]})
    return str(fleet.add(replace(constant("m", 0.0), frame=frame)).version)


@pytest.mark.parametrize(
    ("champion_fails", "status", "failures"),
    [(False, 200, ["challenger"]), (True, 422, ["champion", "shadow"])],
)
def test_where_it_fails_at_once_each_failure_is_logged_once(
    inside: Any, own_fleet: Any, front: Front, champion_fails: bool, status: int, failures: list[str]
) -> None:
    champion, challenger = steep(own_fleet) if champion_fails else "1", steep(own_fleet)
    strategy = (
        {"strategy": "shadow", "shadow": timedelta(0)} if champion_fails else {"strategy": "blue_green"}
    )
    trial = Trial(own_fleet, rollout_rules(canary=(), **strategy))
    trial.promote(champion)
    trial.begin(challenger)
    inside.settle()

    answers = [front.ask({"instances": [[1e20]]}) for _ in range(5)]

    assert [(each.status_code, each.json()["version"]) for each in answers] == [(status, champion)] * 5
    assert inside.gateway.shadow.drain(20)
    ever = datetime.min, datetime.max
    assert inside.log.failures("m", *ever)[1].tolist() == [422] * 5 * len(failures)


def test_the_shadow_answers_nobody_and_is_compared_request_by_request(
    inside: Any, own_fleet: Any, front: Front
) -> None:
    trial = begun(inside, own_fleet, strategy="shadow", shadow=timedelta(0), canary=())
    assert ask(inside, 200) == {"1": 200}
    assert {front.ask().json()["version"] for _ in range(200)} == {"1"}
    assert front.passed_on == []
    assert inside.gateway.shadow.drain(20)

    seen = look(trial.rollouts, trial.rollouts.running("m"), trial.log, utc_now())
    assert seen.units == {"requests of both": 400}
    assert {finding.guard for finding in seen.findings} == {"error_rate", "performance"}
    assert isinstance(follow(trial.rollouts, seen, actor="tests"), Move)


def test_blue_green_has_the_champion_in_shadow_and_keeps_the_way_back_open(
    inside: Any, own_fleet: Any
) -> None:
    trial = begun(inside, own_fleet, strategy="blue_green", canary=())
    assert ask(inside, 60) == {"2": 60}
    assert inside.gateway.shadow.drain(20)
    traffic = trial.rollouts.running("m")
    assert look(trial.rollouts, traffic, trial.log, utc_now()).units == {"requests of both": 60}
    trial.rollouts.end(traffic, "enough", actor="tests")
    inside.settle()
    assert ask(inside, 10) == {"1": 10}


def test_a_person_sees_one_version_throughout(inside: Any, own_fleet: Any) -> None:
    trial = begun(inside, own_fleet)
    people = [f"person {number}" for number in range(60)]
    first = {person: version_for(inside, person) for person in people}
    assert {first[person] for person in people} == {"1", "2"}
    assert all(version_for(inside, person) == first[person] for person in people)
    trial.rollouts.advance(
        trial.rollouts.running("m"), (), {"challenger": 60}, actor="tests", reason="next step"
    )
    inside.settle()
    later = {person: version_for(inside, person) for person in people}
    assert all(later[person] == "2" for person in people if first[person] == "2")
    assert sum(version == "2" for version in later.values()) > sum(v == "2" for v in first.values())


def test_a_person_sees_the_same_version_whoever_answers(inside: Any, own_fleet: Any, front: Front) -> None:
    begun(inside, own_fleet)
    people = [f"person {number}" for number in range(30)]
    at_once = {person: front.ask(x_mlops_entity=person).json()["version"] for person in people}
    assert at_once == {person: version_for(inside, person) for person in people}
    assert front.passed_on == []


def test_requests_that_come_together_are_each_sent_their_way(inside: Any, own_fleet: Any) -> None:
    begun(inside, own_fleet, canary=(50,))
    replies: dict[str, Any] = {}
    turn = inside.gateway.front()

    def take(person: str, row: Any) -> None:
        scope = {"headers": [(b"x-mlops-entity", person.encode())]}
        target = turn.target(b"/models/m/invocations", scope)
        assert turn.take(target, scope, orjson.dumps(row), lambda reply: replies.update({person: reply}))

    async def one_turn() -> None:
        for number in range(40):
            take(f"person {number}", {"instances": [[float(number)]] * (1 + number % 3)})
        take("nobody", {"instances": [["wrong"]]})
        await anyio.lowlevel.checkpoint()

    anyio.run(one_turn)
    assert replies.pop("nobody") is None
    versions = set()
    for person, reply in replies.items():
        answer, number = orjson.loads(reply), int(person.split()[1])
        assert answer["version"] == version_for(inside, person)
        assert answer["predictions"] == [float(answer["version"])] * (1 + number % 3)
        found = [inside.log.find(each) for each in answer["prediction_ids"]]
        assert {(each.inputs["x"], each.entity, each.version) for each in found} == {
            (float(number), person, answer["version"])
        }
        versions.add(answer["version"])
    assert versions == {"1", "2"}


def version_for(inside: Any, person: str) -> str:
    answer = inside.client.post("/models/m/invocations", json=ROW, headers={"x-mlops-entity": person})
    return str(answer.json()["version"])


def test_a_rollback_ends_a_rollout_at_once(inside: Any, own_fleet: Any) -> None:
    trial = Trial(own_fleet, rollout_rules())
    for version in ("1", "3"):
        registered = own_fleet.registry.version("m", version)
        trial.authority.promote(
            registered, trial.rules, trial.endpoint(version), actor="tests", rollout=whole(trial)
        )
    trial.begin("2")
    inside.settle()
    assert inside.router.table.routes["m"].rollout is not None
    trial.authority.roll_back("m", None, actor="tests", reason="worse")
    inside.settle()
    assert ask(inside, 30) == {"1": 30}
    assert trial.rollouts.mend("m", actor="tests") is None
    assert "challenger" not in own_fleet.registry.aliases()["m"]


def whole(trial: Trial) -> RolloutProof:
    """Return a rollout whose every step found nothing."""
    now = utc_now()
    passed = [
        PassedStep(percent=step.percent, paired=step.paired, begun=now, ended=now, units={}, looked=())
        for step in steps(trial.rules.rollout)
    ]
    return RolloutProof(rollout=1, passed=tuple(passed))


def test_a_version_that_has_to_be_rolled_out_is_not_promoted_without(own_fleet: Any) -> None:
    trial = Trial(own_fleet)
    trial.promote("1")
    with pytest.raises(Refused, match="it has not passed all steps of its rollout: canary 20 %, canary 50 %"):
        trial.promote("2")
    trial.begin("2")
    with pytest.raises(Refused, match="canary 50 % to go"):
        trial.authority.promote(
            own_fleet.registry.version("m", "2"),
            trial.rules,
            trial.endpoint("2"),
            actor="tests",
            rollout=whole(trial).model_copy(update={"passed": whole(trial).passed[:1]}),
        )


def test_hold_takes_no_step_and_a_person_may_leave_steps_out(inside: Any, own_fleet: Any) -> None:
    trial = begun(inside, own_fleet)
    ask(inside, 700)
    held = trial.rollouts.hold(trial.rollouts.running("m"), actor="tests", reason="wait for Monday")
    seen = look(trial.rollouts, held, trial.log, utc_now())
    assert seen.decision.action == "wait"
    assert "held by tests: wait for Monday" in seen.decision.reason
    inside.settle()
    assert ask(inside, 200)["2"] > 10
    move = trial.rollouts.hasten(held, seen.looked, seen.units, actor="ann", reason="it is urgent")
    assert move.champion == "2"
    release = trial.authority.release("m")
    assert release.rollout.hastened == "ann: it is urgent"


def test_a_rollout_whose_version_was_deleted_is_over_and_the_next_can_begin(
    inside: Any, own_fleet: Any
) -> None:
    trial = begun(inside, own_fleet)
    own_fleet.registry.client.delete_model_version("m", "2")
    inside.settle()
    assert ask(inside, 40) == {"1": 40}

    assert list(one_round(trial.rollouts, trial.log, actor="sensor")) == []
    ended = trial.rollouts.latest("m")
    assert (ended.state, ended.reason, ended.actor) == (
        "ended",
        "version 2 is gone from the registry",
        "sensor",
    )
    trial.begin("3")
    inside.settle()
    assert ask(inside, 200)["3"] > 10


def test_without_any_look_a_rollout_ends_by_itself(inside: Any, own_fleet: Any) -> None:
    begun(inside, own_fleet, deadline=timedelta(0))
    assert ask(inside, 40) == {"1": 40}


def test_what_was_ended_while_somebody_looked_goes_no_further(inside: Any, own_fleet: Any) -> None:
    trial = begun(inside, own_fleet)
    seen = trial.rollouts.running("m")
    trial.rollouts.end(seen, "enough", actor="ann")
    with pytest.raises(RolloutError, match="the rollout of m was changed meanwhile by ann; look again"):
        trial.rollouts.advance(seen, (), {"challenger": 60}, actor="sensor", reason="no harm")
    assert trial.rollouts.running("m") is None


def test_a_record_that_a_kill_kept_out_of_the_audit_chain_can_be_looked_at(
    own_fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(own_fleet)
    trial.promote("1")
    begun_by = trial.begin("2")
    with monkeypatch.context() as killed:
        killed.setattr(trial.audit, "append", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trial.rollouts.hold(begun_by, actor="tests", reason="wait for Monday")

    held = trial.rollouts.running("m")
    assert [record.state for record in trial.rollouts.records(held)] == ["running", "held"]
    assert look(trial.rollouts, held, trial.log, utc_now()).traffic.state == "held"


def test_a_round_reads_what_a_rollout_rests_on_once(own_fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, read = Trial(own_fleet), []
    trial.promote("1")
    trial.begin("2")
    reading = trial.fleet.registry.read_statement
    monkeypatch.setattr(
        trial.fleet.registry, "read_statement", lambda run, path: read.append(path) or reading(run, path)
    )
    (turn,) = one_round(trial.rollouts, trial.log, actor="sensor")
    assert (turn.look.decision.action, len(read)) == ("wait", 1)


def test_what_could_not_be_read_of_the_audit_chain_is_read_the_next_time(
    own_fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = own_fleet.home
    chain, verifier = AuditChain(home.state_url, home.audit_checkpoints), own_fleet.signer.verifier
    marks = Marks(None, entered_in(chain, verifier), tried_in(chain, verifier))
    Trial(own_fleet, rollout_rules()).promote("1")

    def locked(*_: Any, **__: Any) -> Any:
        raise StorageError("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(chain, "newest_first", locked)
        with pytest.raises(StorageError):
            marks.catch_up()
    assert marks.catch_up() == ["m"]
