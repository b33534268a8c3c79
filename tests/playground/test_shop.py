"""The shop's data is the same on every server, and has what a migration must cope with."""

from __future__ import annotations

import pytest

from playground.shop import ShopSizes, create_shop
from tests.conftest import Schema, fresh_schema

TABLES = ("customers", "orders", "order_items", "events")


def checksums(schema: Schema) -> dict[str, object]:
    return {table: schema.execute(f"CHECKSUM TABLE {table}")[0][1] for table in TABLES}


def test_two_shops_of_one_size_are_equal(schema: Schema) -> None:
    create_shop(schema.dsn, orders=1200)
    with fresh_schema(schema.server) as other:
        create_shop(other.dsn, orders=1200)
        assert checksums(schema) == checksums(other)


@pytest.mark.parametrize("orders", [1, 7, 50_001])
def test_every_table_has_as_many_rows_as_announced(schema: Schema, orders: int) -> None:
    sizes = create_shop(schema.dsn, orders=orders)
    assert sizes == ShopSizes.of(orders)
    for table in TABLES:
        assert schema.execute(f"SELECT COUNT(*) FROM {table}")[0][0] == getattr(sizes, table)


def test_order_numbers_have_gaps_to_move_rows_into(schema: Schema) -> None:
    create_shop(schema.dsn, orders=700)
    assert schema.execute("SELECT MAX(id) - COUNT(*) FROM orders")[0][0] > 90
    assert schema.execute("SELECT COUNT(*) FROM orders WHERE id % 8 = 0")[0][0] == 0


def test_the_load_stays_out_of_the_binary_log(schema: Schema) -> None:
    before = schema.execute("SHOW BINARY LOG STATUS")[0][:2]
    create_shop(schema.dsn, orders=1000)
    assert schema.execute("SHOW BINARY LOG STATUS")[0][:2] == before
