"""Every kind of table and key, copied: rows and definition are what a native ALTER makes."""

from __future__ import annotations

import pytest

from migrations_app.engine import OutcomeKind
from tests.conftest import Schema
from tests.engine.sameness import assert_migrates_as_native, quoted
from tests.engine.support import migrate

ID = "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY"
WIDEN = "MODIFY v BIGINT"
# what stands between the parentheses, and after; rows of all its columns; clauses
TABLES = {
    "empty": (f"({ID}, v INT)", "", WIDEN),
    "one row": (f"({ID}, v INT)", "(1, 2)", WIDEN),
    "id 0": (f"({ID}, v INT)", "(0, 2), (5, 6)", WIDEN),
    "RANGE kept": ((f"({ID}, v INT) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (5), "
                   "PARTITION b VALUES LESS THAN MAXVALUE)"), "(1, 2), (7, 8)", WIDEN),
    "LIST kept": ((f"({ID}, v INT) PARTITION BY LIST (id) (PARTITION a VALUES IN (1, 2), "
                  "PARTITION b VALUES IN (7))"), "(1, 2), (7, 8)", WIDEN),
    "HASH kept": (f"({ID}, v INT) PARTITION BY HASH (id) PARTITIONS 3", "(1, 2), (7, 8)", WIDEN),
    "KEY kept": (f"({ID}, v INT) PARTITION BY KEY (id) PARTITIONS 3", "(1, 2), (7, 8)", WIDEN),
    "partitions removed": (f"({ID}, v INT) PARTITION BY HASH (id)", "(1, 2)",
                           "REMOVE PARTITIONING"),
    "partitions added": (f"({ID}, v INT)", "(1, 2), (9, 9)", "PARTITION BY KEY (id) PARTITIONS 2"),
    "compressed": (f"({ID}, v INT)", "(1, 2)", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4"),
    "options": (f"({ID}, v INT) COMMENT='a;b %s ''q'''", "(1, 2)",
                "COMMENT='x;%s -- \"y\" # /* z */', STATS_PERSISTENT=1, DEFAULT CHARSET=latin1"),
    "unnamed check": (f"({ID}, v INT, CHECK (v > 0))", "(1, 2)", WIDEN),
    "invisible index": (f"({ID}, v INT, w INT, KEY i (w) INVISIBLE)", "(1, 2, 3)", WIDEN),
    "multi-valued": (f"({ID}, v INT, j JSON, KEY m ((CAST(j->'$.a' AS UNSIGNED ARRAY))))",
                     "(1, 2, '{\"a\": [1, 2]}')", WIDEN),
    "ngram": (f"({ID}, v INT, s TEXT, FULLTEXT KEY f (s) WITH PARSER ngram)", "(1, 2, 'a b')",
              WIDEN),
    "prefix and descending": (f"({ID}, v INT, s TEXT, KEY p (s(3)), KEY d (v DESC))",
                              "(1, 2, 'abcd')", WIDEN),
    "zero date": (f"({ID}, v INT, d DATETIME)", "(1, 2, '0000-00-00'), (2, 3, NULL)", WIDEN),
    "times": (f"({ID}, v INT, d TIME(3))", "(1, 2, '-838:59:58.999'), (2, 3, '-0:0:0.5')", WIDEN),
}  # fmt: skip
KEYS = {
    "SMALLINT": ("(k SMALLINT PRIMARY KEY, v INT)", "(-32768, 1), (0, 2), (32767, 3)", WIDEN),
    "MEDIUMINT": ("(k MEDIUMINT PRIMARY KEY, v INT)", "(-8388608, 1), (8388607, 3)", WIDEN),
    "INT UNSIGNED": ("(k INT UNSIGNED PRIMARY KEY, v INT)", "(0, 1), (4294967295, 3)", WIDEN),
    "BIGINT": ("(k BIGINT PRIMARY KEY, v INT)",
               "(-9223372036854775808, 1), (9223372036854775807, 3)", WIDEN),
    "BIGINT UNSIGNED": ("(k BIGINT UNSIGNED PRIMARY KEY, v INT)",
                        "(0, 1), (18446744073709551615, 3)", WIDEN),
    "INT to BIGINT": ("(k INT PRIMARY KEY, v INT)", "(-5, 1), (7, 3)", "MODIFY k BIGINT"),
    "INT to unsigned": ("(k INT PRIMARY KEY, v INT)", "(5, 1), (7, 3)",
                        "MODIFY k BIGINT UNSIGNED"),
    "VARCHAR widened": ("(k VARCHAR(10) PRIMARY KEY, v INT)", "('a', 1), ('é', 3)",
                        "MODIFY k VARCHAR(50)"),
    "DECIMAL widened": ("(k DECIMAL(6,2) PRIMARY KEY, v INT)", "(-1.25, 1), (3.5, 3)",
                        "MODIFY k DECIMAL(12,4)"),
    "DATETIME widened": ("(k DATETIME PRIMARY KEY, v INT)", "('2020-01-01', 1)",
                         "MODIFY k DATETIME(3)"),
    "PAD SPACE": ("(k VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
                  "('a ', 1), ('b', 2)", WIDEN),
    "NO PAD": ("(k VARCHAR(9) PRIMARY KEY, v INT)", "('a ', 1), ('a', 2), ('a  ', 3)", WIDEN),
    "zero bytes": ("(k VARBINARY(9) PRIMARY KEY, v INT)", "(0x00, 1), ('', 2), (0x6100, 3)",
                   WIDEN),
    "latin1 to utf8mb4": ("(k VARCHAR(9) PRIMARY KEY, v INT) CHARSET=latin1",
                          "('é', 1), ('z', 2), ('B', 3), ('a', 4)",
                          "CONVERT TO CHARACTER SET utf8mb4"),
    "utf8mb3 to utf8mb4": ("(k VARCHAR(9) PRIMARY KEY, v INT) CHARSET=utf8mb3",
                           "('é', 1), ('z', 2), ('B', 3), ('a', 4)",
                           "CONVERT TO CHARACTER SET utf8mb4"),
    "ci to bin": ("(k VARCHAR(9) PRIMARY KEY, v INT)", "('é', 1), ('z', 2), ('B', 3), ('a', 4)",
                  "MODIFY k VARCHAR(9) COLLATE utf8mb4_bin"),
    "several unique": (("(a INT, b VARCHAR(9) NOT NULL, c INT NOT NULL, v INT, UNIQUE (a), "
                       "UNIQUE (b(3)), UNIQUE (c))"), "(NULL, 'x', 1, 1), (NULL, 'y', 2, 2)",
                       WIDEN),
    "renamed": (f"({ID}, v INT)", "(1, 2), (5, 6)", "CHANGE id ident BIGINT AUTO_INCREMENT"),
    "primary from unique": (
                            ("(k INT NOT NULL, l INT NOT NULL, v INT, "
                            "PRIMARY KEY (k), UNIQUE u (l))"),
                            "(1, 9, 2), (2, 8, 3)", "DROP PRIMARY KEY, ADD PRIMARY KEY (l)"),
    "primary before unique": ("(l INT NOT NULL, v INT, UNIQUE u (l))", "(9, 2), (8, 3)",
                              "ADD PRIMARY KEY (l)"),
}  # fmt: skip
NAMES = ["a b", "it's", 'say "x"', "back`tick", "100%s", "été", "select", "n" * 64]


def _check(schema: Schema, case: tuple[str, str, str], table: str = "t") -> None:
    body, rows, clauses = case
    setup = [f"CREATE TABLE {quoted(table)} {body}"]
    if rows:
        setup.append(f"INSERT INTO {quoted(table)} VALUES {rows}")
    assert_migrates_as_native(schema, setup, clauses, table)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_copied_as_a_native_alter_would(schema: Schema, name: str) -> None:
    _check(schema, TABLES[name])


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_copied_as_a_native_alter_would(schema: Schema, name: str) -> None:
    _check(schema, KEYS[name])


@pytest.mark.parametrize("table", NAMES)
def test_a_table_of_any_name_is_copied(schema: Schema, table: str) -> None:
    _check(schema, TABLES["one row"], table)


@pytest.mark.parametrize(
    "clause",
    [
        "RENAME COLUMN 2fa TO fa2", "CHANGE 2fa fa2 CHAR(20) NOT NULL",
        "CHANGE COLUMN similar 3x CHAR(9)", "RENAME COLUMN similar TO related",
        "RENAME COLUMN isim TO ad", "DROP COLUMN il",
    ],
)  # fmt: skip
def test_a_column_whose_name_could_be_misread_keeps_its_values_or_is_refused(
    schema: Schema, clause: str
) -> None:
    """MySQL takes İ and i for the same letter; the last two are more than can be told here."""
    columns = (
        "id INT PRIMARY KEY, `2fa` CHAR(9) NOT NULL, similar CHAR(9), İsim CHAR(9), İl INT, v INT"
    )
    for table in ("t", "native"):
        schema.execute(f"CREATE TABLE {table} ({columns})")
        schema.execute(
            f"INSERT INTO {table} VALUES (1, 'a', 'b', 'c', 4, 5), (2, 'd', 'e', 'f', 9, 9)"
        )
    before = schema.execute("SELECT * FROM t")
    outcome, _ = migrate(schema, f"ALTER TABLE t {clause}, MODIFY v BIGINT")
    if outcome.kind is OutcomeKind.REFUSED:
        assert "İ" in outcome.message
        assert schema.execute("SELECT * FROM t") == before
        return
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    schema.execute(f"ALTER TABLE native {clause}, MODIFY v BIGINT")
    assert schema.execute("SELECT * FROM t") == schema.execute("SELECT * FROM native")
    names = [
        [str(row[0]) for row in schema.execute(f"SHOW COLUMNS FROM {name}")]
        for name in ("t", "native")
    ]
    assert names[0] == names[1]
