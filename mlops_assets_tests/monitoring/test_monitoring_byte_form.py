"""What is kept as bytes is read back, or refused with what it is not and what to do."""

import msgspec
import pytest

from mlops_assets.monitoring.byte_form import ByteForm

FORM = ByteForm("towers", 2, "build them again")


def read(content: bytes) -> tuple[str, float]:
    with FORM.reading(content) as (name, heights):
        return name, heights["highest"] + 0.5


def test_fields_are_read_back_as_they_were_written() -> None:
    assert read(FORM.write("north", {"highest": 3})) == ("north", 3.5)


def test_the_number_of_the_form_comes_first() -> None:
    assert msgspec.msgpack.decode(FORM.write("north", {})) == [2, "north", {}]


def test_another_form_is_refused_with_what_to_do() -> None:
    older = ByteForm("towers", 1).write("north", {"highest": 3})
    said = r"^no towers: it is of form 1, and this platform reads 2; build them again$"
    with pytest.raises(ValueError, match=said):
        read(older)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01", id="a number"),
        pytest.param(b"nonsense", id="text"),
        pytest.param(FORM.write("north", {"highest": 3})[:-1], id="cut off"),
        pytest.param(FORM.write("north"), id="a field too few"),
        pytest.param(FORM.write("north", {}, 1), id="a field too many"),
        pytest.param(FORM.write("north", {}), id="an entry too few"),
        pytest.param(FORM.write("north", {"highest": "high"}), id="text for a number"),
    ],
)
def test_what_is_no_such_thing_is_refused_by_its_name(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^no towers: "):
        read(content)
