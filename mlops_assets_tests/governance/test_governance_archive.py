"""Archives: the same files give the same bytes, and nothing that is not plain is unpacked."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import EvidenceError
from mlops_assets.governance import archive
from mlops_assets.governance.archive import archived, read_archive

names = st.from_regex(r"[a-z0-9_]{1,8}(/[a-z0-9_]{1,8}){0,2}(\.[a-z]{1,4})?", fullmatch=True)


@given(files=st.dictionaries(names, st.binary(max_size=200), max_size=8))
def test_what_was_packed_is_read_again_and_its_order_is_of_no_consequence(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    packed = archived(files)
    assert packed == archived(dict(reversed(files.items())))
    file = tmp_path_factory.getbasetemp() / "again.zip"
    file.write_bytes(packed)
    assert read_archive(file) == files


def test_a_plain_unzip_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archived({"folder/file.txt": b"content"}))
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        opened.extractall(tmp_path)
        assert [entry.date_time for entry in opened.infolist()] == [(1980, 1, 1, 0, 0, 0)]
    assert (tmp_path / "folder" / "file.txt").read_bytes() == b"content"


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w", method) as opened:
        warnings.simplefilter("ignore")  # two of one name
        for name, data in files:
            opened.writestr(zipfile.ZipInfo(name), data, method)
    return content.getvalue()


def _lies_about_its_size() -> bytes:
    """Say in both places that 30 MB are ten bytes."""
    whole = zipped(("a", bytes(30 * 2**20)))
    return whole.replace(struct.pack("<L", 30 * 2**20), struct.pack("<L", 10))


def _says_it_is_huge() -> bytes:
    whole = zipped(("a", b"x" * 1000))
    return whole.replace(struct.pack("<L", 1000), struct.pack("<L", archive.LARGEST_FILE + 1))


def _encrypted() -> bytes:
    whole = bytearray(zipped(("a", b"x")))
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    return bytes(whole)


MALFORMED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "does not end as a ZIP archive does"),
    "text": (lambda: b"hello " * 20, "does not end as a ZIP archive does"),
    "cut off": (lambda: zipped(("a", b"x" * 500))[:-10], "does not end as a ZIP archive does"),
    "something behind it": (lambda: zipped(("a", b"x")) + b"!", "does not end as a ZIP archive does"),
    "its begin is gone": (lambda: zipped(("a", b"x" * 500))[30:], "is no intact ZIP archive"),
    "up and out": (lambda: zipped(("../a", b"x")), "a name that is not accepted: '../a'"),
    "up and out within": (lambda: zipped(("a/../../b", b"x")), "a name that is not accepted"),
    "from the root": (lambda: zipped(("/etc/passwd", b"x")), "a name that is not accepted"),
    "a drive": (lambda: zipped(("C:/a", b"x")), "a name that is not accepted"),
    "backslashes": (lambda: zipped(("..\\a", b"x")), "a name that is not accepted"),
    "a folder": (lambda: zipped(("a/", b"")), "a name that is not accepted"),
    "a hidden file": (lambda: zipped((".ssh/config", b"x")), "a name that is not accepted"),
    "a zero byte": (lambda: zipped(("abc", b"x")).replace(b"abc", b"a\0c"), "a name that is not accepted"),
    "a line feed": (lambda: zipped(("a\nb", b"x")), "a name that is not accepted"),
    "a long name": (lambda: zipped(("a" * 300, b"x")), "a name that is not accepted"),
    "two of one name": (lambda: zipped(("a", b"x"), ("a", b"y")), "holds 2 files named 'a'"),
    "too many": (
        lambda: zipped(*((f"f{n}", b"") for n in range(archive.MOST_FILES + 1))),
        "holds more than 5,000 files",
    ),
    "a lie about its size": (_lies_about_its_size, "is no intact ZIP archive"),
    "a huge file": (_says_it_is_huge, "'a', which unpacks to more than 128 MB"),
    "encrypted": (_encrypted, "'a', which is encrypted or packed in an unusual way"),
    "packed unusually": (
        lambda: zipped(("a", b"x" * 100), method=zipfile.ZIP_LZMA),
        "'a', which is encrypted or packed in an unusual way",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused_with_one_clear_line(case: str, tmp_path: Path) -> None:
    make, said = MALFORMED[case]
    file = tmp_path / "bad.zip"
    file.write_bytes(make())
    with pytest.raises(EvidenceError) as raised:
        read_archive(file)
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def test_a_bomb_of_many_files_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bomb.zip"
    file.write_bytes(zipped(*((f"f{n}", bytes(300_000)) for n in range(4))))
    monkeypatch.setattr(archive, "LARGEST_TOTAL", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(EvidenceError, match="unpacks to more than 1 MB"):
        read_archive(file)


def test_a_file_that_is_not_there_and_a_folder_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be read: No such file or directory"):
        read_archive(tmp_path / "none.zip")
    with pytest.raises(EvidenceError, match="cannot be read: Is a directory"):
        read_archive(tmp_path)


@given(whole=st.binary(max_size=300), tail=st.booleans())
def test_no_bytes_make_it_fail_otherwise(
    whole: bytes, tail: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.zip"
    file.write_bytes(whole + (zipped(("a", b"x"))[-22:] if tail else b""))
    with pytest.raises(EvidenceError):
        read_archive(file)


@given(place=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_changes_what_is_read_or_nothing_at_all(
    place: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {"a": b"first " * 40, "b/c": b"second " * 40}
    whole = bytearray(archived(files))
    whole[place % len(whole)] = byte
    file = tmp_path_factory.getbasetemp() / "flipped.zip"
    file.write_bytes(whole)
    try:
        read = read_archive(file)
    except EvidenceError:
        return
    assert read == files or set(read) != set(files)
