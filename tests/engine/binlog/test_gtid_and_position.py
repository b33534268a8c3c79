"""GTID sets, and positions without a server."""

from __future__ import annotations

import pytest

from migrations_app.engine.binlog import GtidSet, Position

A = "aaaaaaaa-0000-0000-0000-000000000001"
B = "bbbbbbbb-0000-0000-0000-000000000002"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (f"{A}:1", f"{A}:1"),
        (f"{A.upper()}:1-3:4:7-9", f"{A}:1-4:7-9"),
        (f"{B}:5,\n{A}:1-2, {A}:2-6", f"{A}:1-6,{B}:5"),
        (f"{A}:blue:1-3:red:4,{A}:9", f"{A}:9:blue:1-3:red:4"),
        (f"{A}:9:Blue:1", f"{A}:9:blue:1"),
    ],
)
def test_a_set_is_read_in_the_servers_notation_and_written_canonically(
    text: str, canonical: str
) -> None:
    assert str(GtidSet.parse(text)) == canonical
    assert GtidSet.parse(canonical) == GtidSet.parse(text)


@pytest.mark.parametrize("text", ["x", A, f"{A}:", f"{A}:1-x", f"{A[:-1]}:1", f"{A}:1;2"])
def test_what_is_not_a_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        GtidSet.parse(text)


def test_adding_keeps_the_text_up_to_date() -> None:
    gtids = GtidSet()
    assert not gtids
    for number in (5, 6, 1, 2, 4, 3, 3):
        gtids.add(A, number)
        assert gtids.contains(GtidSet.parse(f"{A}:{number}"))
        assert GtidSet.parse(str(gtids)) == gtids
    assert str(gtids) == f"{A}:1-6"
    gtids.add(A, 1, "tag")
    gtids.add(B, 8)
    assert str(gtids) == f"{A}:1-6:tag:1,{B}:8"
    assert gtids.has_tags


def test_union_subtract_and_contains() -> None:
    left, right = GtidSet.parse(f"{A}:1-10:t:1-2"), GtidSet.parse(f"{A}:3-4:8-20,{B}:1")
    assert str(left.union(right)) == f"{A}:1-20:t:1-2,{B}:1"
    assert str(left.subtract(right)) == f"{A}:1-2:5-7:t:1-2"
    assert str(right.subtract(left)) == f"{A}:11-20,{B}:1"
    assert left.union(right).contains(left)
    assert not left.contains(right)
    assert not left.subtract(left)
    assert str(left) == f"{A}:1-10:t:1-2"


def test_a_copy_does_not_change_with_the_original() -> None:
    original = GtidSet.parse(f"{A}:1")
    copy = original.copy()
    original.add(A, 2)
    assert str(copy) == f"{A}:1"


def test_positions_compare_by_the_number_of_the_file() -> None:
    position = Position("mysql-bin.1000000", 4)
    assert position.reached("mysql-bin.999999", 10_000)
    assert position.reached("mysql-bin.1000000", 4)
    assert not position.reached("mysql-bin.1000000", 5)
    assert not Position("mysql-bin.999999", 99).reached("mysql-bin.1000000", 4)
