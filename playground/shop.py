"""A small web shop's data: customers, orders, order_items and events, made on the server by SQL.

Every value follows from its row's number by a formula, so the same call gives the same data on any
server. Order numbers have gaps, as after some years of deletions: every GAP-th id is missing.
Nothing passes through Python, and the load is left out of the binary log, like a restored backup.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses

import MySQLdb

from migrations_app.engine.dsn import Dsn
from playground.connections import as_dsn, connected, query

DEFAULT_ORDERS = 1_000_000
GAP = 8
SLICE_ROWS = 50_000
LOADERS = 2

_NUMBERS = """
CREATE TABLE _numbers (n INT UNSIGNED NOT NULL PRIMARY KEY)
SELECT a.i * 1000 + b.i AS n FROM
(WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 49) SELECT i FROM s) a,
(WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 999) SELECT i FROM s) b
"""


@dataclasses.dataclass(frozen=True)
class _Part:
    """One table: how it is created, how the row with number ``n`` is made, and its indexes."""

    name: str
    create: str
    indexes: str
    columns: str
    select: str
    join: str = ""


# A spread of numbers without randomness: multiples of the golden ratio, modulo what is wanted.
_CUSTOMERS = _Part(
    "customers",
    """
    CREATE TABLE customers (
      id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
      email VARCHAR(190) NOT NULL,
      name VARCHAR(120) NOT NULL,
      country CHAR(2) NOT NULL,
      is_business TINYINT(1) NOT NULL DEFAULT 0,
      created_at DATETIME NOT NULL
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4""",
    "ADD UNIQUE KEY email (email), ADD KEY country_created (country, created_at)",
    "id, email, name, country, is_business, created_at",
    """
    n + 1, CONCAT('customer', n + 1, '@shop.example'),
    CONCAT(ELT(n * 7 % 10 + 1, 'Ada', 'Björn', 'Chloé', 'Dmitri', 'Elif', 'Farah', 'Grace', 'Hugo',
      'İpek', 'José'), ' ', ELT(n * 3 % 8 + 1, 'Ng', 'Müller', 'Okafor', 'Silva', 'Tanaka',
      'Ødegård', 'Smith', 'Kowalski')),
    ELT(n * 5 % 6 + 1, 'DE', 'FR', 'GB', 'NO', 'TR', 'US'), n % 9 = 0,
    TIMESTAMP '2021-01-01 08:00:00' + INTERVAL n * 2654435761 % 157680000 SECOND""",
)
_ORDERS = _Part(
    "orders",
    """
    CREATE TABLE orders (
      id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
      reference VARCHAR(20) NOT NULL,
      customer_id INT UNSIGNED NOT NULL,
      status ENUM('new', 'paid', 'packed', 'shipped', 'delivered', 'returned') NOT NULL
        DEFAULT 'new',
      currency CHAR(3) NOT NULL,
      total DECIMAL(10, 2) NOT NULL,
      item_count SMALLINT UNSIGNED NOT NULL,
      note VARCHAR(120) DEFAULT NULL,
      shipping_address JSON NOT NULL,
      created_at DATETIME NOT NULL,
      updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4""",
    """ADD UNIQUE KEY reference (reference), ADD KEY customer_created (customer_id, created_at),
    ADD KEY status_updated (status, updated_at)""",
    """id, reference, customer_id, status, currency, total, item_count, note, shipping_address,
    created_at, updated_at""",
    f"""
    n + n DIV {GAP - 1} + 1, CONCAT('SO-', LPAD(n + 1, 9, '0')),
    n * 2654435761 % @customers + 1,
    ELT(n * 11 % 20 DIV 3 + 1, 'delivered', 'shipped', 'delivered', 'paid', 'new', 'packed',
      'returned'),
    ELT(n * 5 % 3 + 1, 'EUR', 'GBP', 'USD'), (n * 40503 % 500000) / 100 + 1, n % 7 + 1,
    IF(n % 4 = 0, ELT(n DIV 4 % 5 + 1, 'Leave it with the neighbour', 'Gift: no invoice, please',
      'Ring twice — the bell is quiet', 'Zustellung bitte ab 17 Uhr', ''), NULL),
    JSON_OBJECT('street', CONCAT(n % 180 + 1, ' Harbour Street'), 'postcode',
      LPAD(n * 7919 % 100000, 5, '0'), 'city', ELT(n * 3 % 6 + 1, 'Berlin', 'Lyon', 'Leeds', 'Oslo',
      'İzmir', 'Boston')),
    TIMESTAMP '2022-01-01 00:00:00' + INTERVAL n * 120 % 126230400 SECOND,
    TIMESTAMP '2022-01-02 00:00:00' + INTERVAL n * 120 % 126230400 + n * 613 % 86400 SECOND""",
)
_ITEMS = _Part(
    "order_items",
    """
    CREATE TABLE order_items (
      order_id BIGINT UNSIGNED NOT NULL,
      line SMALLINT UNSIGNED NOT NULL,
      sku VARCHAR(32) NOT NULL,
      quantity SMALLINT UNSIGNED NOT NULL,
      price DECIMAL(10, 2) NOT NULL,
      PRIMARY KEY (order_id, line)
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4""",
    "ADD KEY sku (sku)",
    "order_id, line, sku, quantity, price",
    f"""
    n + n DIV {GAP - 1} + 1, l.line, CONCAT('SKU-', LPAD((n + l.line * 37) * 31 % 5000, 5, '0')),
    (n + l.line) % 3 + 1, (n * 6151 % 20000 + l.line) / 100""",
    # Every second order has two lines.
    join="JOIN (SELECT 1 AS line UNION ALL SELECT 2) l ON l.line <= n % 2 + 1",
)
_EVENTS = _Part(
    "events",
    """
    CREATE TABLE events (
      id BINARY(16) NOT NULL PRIMARY KEY,
      order_id BIGINT UNSIGNED NOT NULL,
      kind VARCHAR(40) NOT NULL,
      payload JSON DEFAULT NULL,
      happened_at DATETIME(6) NOT NULL
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4""",
    "ADD KEY order_happened (order_id, happened_at)",
    "id, order_id, kind, payload, happened_at",
    f"""
    UNHEX(CONCAT(LPAD(HEX(1640995200000 + n * 120000), 12, '0'), '7', LPAD(HEX(n % 4096), 3, '0'),
      LPAD(HEX((n * 2654435761 + 1) % 4294967296), 16, '8'))),
    n + n DIV {GAP - 1} + 1, ELT(n % 4 + 1, 'page_viewed', 'cart_changed', 'paid', 'mail_opened'),
    IF(n % 3 = 0, JSON_OBJECT('agent', ELT(n % 2 + 1, 'phone', 'desktop'), 'ms', n * 17 % 900),
      NULL),
    TIMESTAMP '2022-01-01 00:00:00' + INTERVAL n * 120 % 126230400 SECOND
      + INTERVAL n * 7919 % 1000000 MICROSECOND""",
)


@dataclasses.dataclass(frozen=True)
class ShopSizes:
    """How many rows each table has."""

    customers: int
    orders: int
    order_items: int
    events: int

    @classmethod
    def of(cls, orders: int) -> ShopSizes:
        return cls(max(1, orders // 10), orders, orders + orders // 2, max(1, orders // 4))


def create_shop(dsn: str | Dsn, *, orders: int = DEFAULT_ORDERS) -> ShopSizes:
    """Create and fill the shop's tables in the DSN's schema, which must have none of them.

    Needs an account that may switch its session's binary log off. Returns the tables' sizes.
    """
    at = as_dsn(dsn)
    sizes = ShopSizes.of(orders)
    # Largest first, so that both loaders end at about the same time.
    counts = {
        _ORDERS: sizes.orders,
        _ITEMS: sizes.orders,
        _EVENTS: sizes.events,
        _CUSTOMERS: sizes.customers,
    }
    with connected(at) as connection:
        query(connection, "SET SESSION sql_log_bin = 0")
        for part in counts:
            query(connection, part.create)
        query(connection, _NUMBERS)
        try:
            with concurrent.futures.ThreadPoolExecutor(LOADERS) as loaders:
                loads = [loaders.submit(_load, at, sizes, *each) for each in counts.items()]
                for load in loads:
                    load.result()
        finally:
            query(connection, "DROP TABLE _numbers")
        query(connection, "ANALYZE TABLE " + ", ".join(part.name for part in counts))
    return sizes


def _load(dsn: Dsn, sizes: ShopSizes, part: _Part, count: int) -> None:
    """Fill one table in slices, each a transaction of its own."""
    with connected(dsn) as connection:
        query(connection, "SET SESSION sql_log_bin = 0")
        query(connection, f"SET @customers = {sizes.customers}")
        for first in range(0, count, SLICE_ROWS):
            rows = min(SLICE_ROWS, count - first)
            query(
                connection,
                f"INSERT INTO {part.name} ({part.columns}) SELECT {part.select} FROM"
                f" (SELECT CAST(n + {first} AS SIGNED) AS n FROM _numbers WHERE n < {rows}) numbers"
                f" {part.join} ORDER BY n",
            )
        # Sorted and written at once: several times quicker than row by row.
        with contextlib.suppress(MySQLdb.Error):  # since MySQL 8.0.27
            query(connection, "SET SESSION innodb_ddl_buffer_size = 67108864")
        query(connection, f"ALTER TABLE {part.name} {part.indexes}")
