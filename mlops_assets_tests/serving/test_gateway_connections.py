"""What clients see on the wire: each request is answered once and in its turn, however its bytes arrive."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import orjson
import pytest

from mlops_assets.serving import connections
from mlops_assets_tests.fleets import Listening
from mlops_assets_tests.serving.wires import PATIENCE, Wire, until
from mlops_assets_tests.serving.wires import request as post

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
PATH = "/v2/models/iris/infer"


def content(name: str = "a request", **more: Any) -> bytes:
    tensors = [{"name": each, "shape": [1], "datatype": "FP64", "data": [1.5]} for each in NAMES]
    return orjson.dumps({"id": name, "inputs": tensors, **more})


def request(body: bytes, *fields: str, path: str = PATH, method: str = "POST", version: str = "1.1") -> bytes:
    return post(path, body, *fields, method=method, version=version)


def usual(name: str = "a request", *fields: str) -> bytes:
    return request(content(name), *fields)


def unusual(name: str = "a request", *fields: str) -> bytes:
    return request(content(name, outputs=[{"name": "label"}]), *fields)


@pytest.fixture(scope="module")
def inside(gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with gateway_in_process(fleet, tmp_path_factory.mktemp("log")) as made:
        made.settle()
        yield made


@pytest.fixture
def gateway(inside: Any) -> Iterator[Listening]:
    with Listening(inside) as listening:
        yield listening


@pytest.fixture
def wire(gateway: Listening) -> Iterator[Wire]:
    with Wire(gateway.address) as opened:
        yield opened


def is_held(gateway: Listening) -> bool:
    """Return whether a request has arrived in part, and may yet become a usual one."""
    return any(each._target is not None for each in list(gateway.server.server_state.connections))


def test_a_connection_serves_one_request_after_the_other(gateway: Listening, wire: Wire) -> None:
    for name in ("1", "2", "3"):
        answer = wire.send(usual(name)).receive()
        assert (answer.status, answer.id) == (200, name)
    assert gateway.passed_on == []
    assert wire.send(unusual("4")).receive().id == "4"
    assert wire.send(usual("5")).receive().id == "5"
    assert gateway.passed_on == [PATH]


def test_an_answer_has_the_same_headers_whoever_gave_it(wire: Wire) -> None:
    at_once = wire.send(usual()).receive()
    passed_on = wire.send(usual("a request", "x-mlops-probe: 1")).receive()

    assert at_once.headers.keys() == passed_on.headers.keys()
    for name in ("server", "content-type"):
        assert at_once.headers[name] == passed_on.headers[name]
    assert int(at_once.headers["content-length"]) == len(at_once.body)


@pytest.mark.parametrize(
    "kinds", [(usual, usual), (usual, unusual), (unusual, usual), (unusual, usual, unusual, usual, usual)]
)
def test_requests_of_one_packet_are_answered_in_their_order(wire: Wire, kinds: Any) -> None:
    names = [str(place) for place in range(len(kinds))]
    wire.send(b"".join(kind(name) for kind, name in zip(kinds, names, strict=True)))

    assert [wire.receive().id for _ in names] == names


@pytest.mark.parametrize("size", [1, 50, 300])
def test_a_request_may_come_in_pieces(gateway: Listening, wire: Wire, size: int) -> None:
    whole = usual("in pieces") + usual("and another")
    wire.send(*(whole[start : start + size] for start in range(0, len(whole), size)))

    assert [wire.receive().id, wire.receive().id] == ["in pieces", "and another"]
    assert gateway.passed_on == []


def test_a_body_that_takes_its_time_is_waited_for_by_the_application(
    gateway: Listening, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PATIENCE_SECONDS", 0)
    whole = usual("late")
    wire.send(whole[:-20])
    until(lambda: gateway.passed_on == [PATH])
    wire.send(whole[-20:-10], whole[-10:])

    assert wire.receive().id == "late"
    assert wire.send(usual("next")).receive().id == "next"
    assert gateway.passed_on == [PATH]


def test_a_large_body_is_not_held(gateway: Listening, wire: Wire) -> None:
    body = content("large") + b" " * 300_000
    assert wire.send(request(body)).receive().id == "large"
    assert gateway.passed_on == [PATH]


def test_a_large_body_is_refused_before_it_is_sent(wire: Wire) -> None:
    answer = wire.send(request(b"{", "content-length: 17000000")).receive()

    assert answer.status == 413
    assert "the body is larger than 16 MiB" in orjson.loads(answer.body)["error"]


def test_what_is_wrong_is_told_in_the_same_words(inside: Any, wire: Wire) -> None:
    for body in (b"", b"{", b"[]", b'{"inputs": []}', content(inputs=[])):
        answer = wire.send(request(body)).receive()
        behind = inside.client.post(PATH, content=body)
        assert answer.status == behind.status_code == 400
        assert answer.body == behind.content


@pytest.mark.parametrize("kind", [usual, unusual])
def test_who_asks_to_close_is_answered_and_let_go(wire: Wire, kind: Any) -> None:
    answer = wire.send(kind("last", "connection: close")).receive()

    assert answer.id == "last"
    assert answer.headers["connection"] == "close"
    assert wire.is_closed


@pytest.mark.parametrize("fields", [[], ["connection: keep-alive"]])
def test_the_older_protocol_is_one_request_a_connection(wire: Wire, fields: list[str]) -> None:
    answer = wire.send(request(content("old"), *fields, version="1.0")).receive()

    assert answer.id == "old"
    assert answer.headers["connection"] == "close"
    assert wire.is_closed


def test_who_waits_to_be_told_to_go_on_is_told(wire: Wire) -> None:
    head, body = usual("expected", "expect: 100-continue").split(b"\r\n\r\n")
    assert wire.send(head + b"\r\n\r\n").receive().status == 100
    assert wire.send(body).receive().id == "expected"


def test_a_body_in_chunks_is_read(gateway: Listening, wire: Wire) -> None:
    body = content("chunked")
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:])]
    whole = request(b"".join([*chunks, b"0\r\n\r\n"]), "transfer-encoding: chunked")

    assert wire.send(whole).receive().id == "chunked"
    assert gateway.passed_on == [PATH]


@pytest.mark.parametrize(
    "fields",
    [
        ["content-length: 400", "transfer-encoding: chunked"],
        ["content-length: 4", "content-length: 400"],
        ["content-length: +4"],
        ["transfer-encoding: chunked, identity"],
    ],
)
def test_a_length_that_may_be_read_in_two_ways_is_refused(wire: Wire, fields: list[str]) -> None:
    answer = wire.send(request(usual("smuggled"), *fields)).receive()

    assert answer.status == 400
    assert wire.is_closed, "what follows could be another request, or not"


def test_who_goes_away_in_the_middle_leaves_nothing_behind(gateway: Listening, wire: Wire) -> None:
    with Wire(gateway.address) as other:
        other.send(usual("never")[:-10])
        until(lambda: is_held(gateway))
    until(lambda: gateway.passed_on == [PATH])
    until(lambda: len(gateway.server.server_state.connections) <= 1)

    assert wire.send(usual("next")).receive().id == "next"


def test_what_was_begun_is_answered_before_the_gateway_ends(gateway: Listening, wire: Wire) -> None:
    whole = usual("begun")
    wire.send(whole[:-10])
    until(lambda: is_held(gateway))
    gateway.server.should_exit = True
    until(lambda: not is_held(gateway))
    answer = wire.send(whole[-10:]).receive()

    assert answer.id == "begun"
    assert answer.headers["connection"] == "close"
    assert wire.is_closed


def test_a_connection_that_is_idle_for_long_is_closed(inside: Any) -> None:
    with Listening(inside, keep_alive_seconds=0) as gateway, Wire(gateway.address) as wire:
        assert wire.send(usual("only")).receive().id == "only"
        assert wire.is_closed


def test_one_that_is_being_answered_is_not(inside: Any) -> None:
    with Listening(inside, keep_alive_seconds=0) as gateway, Wire(gateway.address) as wire:
        wire.send(usual("quick") + unusual("slow"))
        assert [wire.receive().id, wire.receive().id] == ["quick", "slow"]
        assert wire.is_closed


def test_nobody_is_answered_who_does_not_read(inside: Any) -> None:
    count = 3_000
    with (
        Listening(inside, send_buffer=4_096) as gateway,
        Wire(gateway.address, receive_buffer=4_096) as wire,
    ):
        sending = b"".join(usual(str(place)) for place in range(count))
        wire.socket.setblocking(False)
        sent = 0

        def waits_for_a_reader() -> bool:
            nonlocal sent
            with suppress(BlockingIOError):
                sent += wire.socket.send(sending[sent:])
            return bool(gateway.passed_on)

        until(waits_for_a_reader)
        wire.socket.settimeout(PATIENCE)
        with ThreadPoolExecutor(1) as pool:
            rest = pool.submit(wire.send, sending[sent:])
            names = [wire.receive().id for _ in range(count)]
            rest.result()

    assert names == [str(place) for place in range(count)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_requests_are_untouched(gateway: Listening, wire: Wire, method: str) -> None:
    asked = request(b"", path="/v2/health/live", method=method)
    answer = wire.send(asked).receive(head_only=method == "HEAD")

    assert answer.status == 200
    assert wire.send(usual("next")).receive().id == "next"
    assert gateway.passed_on == ["/v2/health/live"]


def test_a_head_may_be_large(wire: Wire) -> None:
    answer = wire.send(usual("decorated", "x-baggage: " + "x" * 60_000)).receive()

    assert answer.id == "decorated"


def test_a_head_without_end_is_cut_off(gateway: Listening, wire: Wire) -> None:
    more = b"x-more: " + b"x" * 10_000 + b"\r\n"
    with pytest.raises(ConnectionError):
        wire.send(b"POST / HTTP/1.1\r\n", *[more] * 2_000)
    with Wire(gateway.address) as other:
        assert other.send(usual("next")).receive().id == "next"


def test_what_is_no_http_is_refused(wire: Wire) -> None:
    assert wire.send(b"\x16\x03\x01\x02\x00\x01\x00").receive().status == 400
    assert wire.is_closed


def test_what_is_no_http_is_refused_after_the_answer_to_what_came_before(wire: Wire) -> None:
    wire.send(usual("right") + b"\x16\x03\x01\x02\x00\x01\x00")

    assert wire.receive().id == "right"
    assert wire.receive().status == 400
    assert wire.is_closed


def test_many_clients_are_each_given_their_own_answer(gateway: Listening) -> None:
    with ExitStack() as opened:
        wires = [opened.enter_context(Wire(gateway.address)) for _ in range(40)]
        for turn in range(5):
            for place, wire in enumerate(wires):
                kind = unusual if place % 7 == 3 else usual
                wire.send(kind(f"{turn} {place}"))
            assert [wire.receive().id for wire in wires] == [f"{turn} {place}" for place in range(40)]
