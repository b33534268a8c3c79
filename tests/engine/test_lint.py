"""Every lint rule speaks when it should and is silent when it should not; nothing is changed."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from migrations_app.engine import Dsn, RefusedError, parse_statement
from migrations_app.engine.lint import (
    RULES,
    Finding,
    LintLevel,
    as_markdown,
    findings_of_refusal,
    lint,
    parse_levels,
    reading,
    refused,
)
from playground.server import PrivateServer
from tests.conftest import Schema, fresh_schema
from tests.engine.support import make_numbers, tables_of, wait_until

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "lint.md"
MANY_COLUMNS = ", ".join(f"c{n} INT" for n in range(15))
MANY_KEYS = ", ".join(f"KEY (c{n})" for n in range(15))
SETUP = (
    ("CREATE TABLE t (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, a INT, "
    "b VARCHAR(100), c TEXT, d DATETIME, e ENUM('x', 'y'), KEY ka (a), KEY kb (b) INVISIBLE)"),
    "INSERT INTO t (a, b) VALUES (1, NULL), (2, 'two')",
    "CREATE VIEW w AS SELECT * FROM t",
    "CREATE TABLE keyless (a INT, b INT)",
    "CREATE TABLE by_enum (e ENUM('x', 'y') NOT NULL, n INT NOT NULL, PRIMARY KEY (e, n))",
    "CREATE TABLE parent (id BIGINT PRIMARY KEY)",
    "CREATE TABLE child (id BIGINT PRIMARY KEY, p BIGINT, FOREIGN KEY (p) REFERENCES parent (id))",
    "CREATE TABLE triggered (id BIGINT PRIMARY KEY)",
    "CREATE TRIGGER tr BEFORE INSERT ON triggered FOR EACH ROW SET NEW.id = 1",
    "CREATE TABLE twice (id BIGINT PRIMARY KEY)",
    "CREATE TABLE _twice_old (id BIGINT PRIMARY KEY)",
    ("CREATE TABLE parts (id BIGINT PRIMARY KEY) PARTITION BY RANGE (id) "
    "(PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200))"),
    ("CREATE TABLE nearly_full (id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) "
    "AUTO_INCREMENT = 230"),
    ("CREATE TABLE told (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT DEFAULT 7 "
    "COMMENT 'of it', at DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)"),
    "CREATE TABLE other (id BIGINT PRIMARY KEY, ref BIGINT)",
    f"CREATE TABLE many (id BIGINT PRIMARY KEY, v INT, {MANY_COLUMNS}, {MANY_KEYS})",
)  # fmt: skip
# rule, a statement that it speaks about, and one it has nothing to say about.
CASES = (
    ("preflight-table", "ALTER TABLE w ADD x INT", "ALTER TABLE t ADD x INT"),
    ("preflight-table", "ALTER TABLE nowhere ADD x INT", "ALTER TABLE t ADD x INT"),
    ("unsupported-clause", "ALTER TABLE t ADD x INT, LOCK=NONE", "ALTER TABLE t ADD x INT"),
    ("unsupported-clause", "ALTER TABLE t RENAME TO u", "ALTER TABLE t RENAME COLUMN a TO u"),
    ("server-refuses", "ALTER TABLE t ADD a INT", "ALTER TABLE t ADD x INT"),
    ("no-usable-key", "ALTER TABLE keyless ADD x INT", "ALTER TABLE t ADD x INT"),
    ("key-column-dropped", "ALTER TABLE t DROP COLUMN id", "ALTER TABLE t DROP COLUMN a"),
    ("key-not-kept", "ALTER TABLE t MODIFY id VARCHAR(20)", "ALTER TABLE t MODIFY id BIGINT"),
    ("enum-of-key-reordered", "ALTER TABLE by_enum MODIFY e ENUM('y', 'x') NOT NULL",
     "ALTER TABLE by_enum MODIFY e ENUM('x', 'y', 'z') NOT NULL"),
    ("enum-of-key-reordered", "ALTER TABLE by_enum MODIFY e ENUM('x') NOT NULL",
     "ALTER TABLE t MODIFY e ENUM('y', 'x')"),
    ("foreign-keys", "ALTER TABLE child ADD x INT", "ALTER TABLE t ADD x INT"),
    ("foreign-keys", "ALTER TABLE parent ADD x INT", "ALTER TABLE t ADD x INT"),
    ("triggers", "ALTER TABLE triggered ADD x INT", "ALTER TABLE t ADD x INT"),
    ("old-table-exists", "ALTER TABLE twice ADD x INT", "ALTER TABLE t ADD x INT"),
    ("drop-and-add", "ALTER TABLE t DROP a, ADD COLUMN A BIGINT",
     "ALTER TABLE t DROP a, ADD f INT"),
    ("drop-and-add", "ALTER TABLE t DROP COLUMN a, ADD (f INT, `a` INT)",
     "ALTER TABLE t DROP COLUMN a, ADD (f INT, g DECIMAL(5, 2))"),
    ("rename-collision", "ALTER TABLE t RENAME COLUMN a TO f, ADD a INT",
     "ALTER TABLE t RENAME COLUMN a TO f, ADD g INT"),
    ("rename-collision", "ALTER TABLE t CHANGE a f INT, ADD f INT", "ALTER TABLE t CHANGE a A INT"),
    ("engine-not-allowed", "ALTER TABLE t ENGINE=MyISAM", "ALTER TABLE t ENGINE=InnoDB"),
    ("drop-column", "ALTER TABLE t DROP a", "ALTER TABLE t DROP INDEX ka"),
    ("narrow-type", "ALTER TABLE t MODIFY a SMALLINT", "ALTER TABLE t MODIFY a BIGINT"),
    ("not-null-with-nulls", "ALTER TABLE t MODIFY b VARCHAR(100) NOT NULL",
     "ALTER TABLE t MODIFY a INT NOT NULL"),
    ("drop-visible-index", "ALTER TABLE t DROP INDEX ka", "ALTER TABLE t DROP INDEX kb"),
    ("drop-visible-index", "DROP INDEX ka ON t", "ALTER TABLE t RENAME INDEX ka TO kc"),
    ("drop-visible-index", "ALTER TABLE t DROP INDEX ka, ADD INDEX kx (d)",
     "ALTER TABLE t DROP INDEX ka, ADD INDEX kx (a, d)"),
    ("new-unique-index", "ALTER TABLE t ADD UNIQUE (a)", "ALTER TABLE t ADD UNIQUE (a, id)"),
    ("new-unique-index", "CREATE UNIQUE INDEX u ON t (b(10))", "CREATE INDEX u ON t (b(10))"),
    ("lossy-charset", "ALTER TABLE t MODIFY b VARCHAR(100) CHARACTER SET latin1",
     "ALTER TABLE t MODIFY b VARCHAR(100) CHARACTER SET utf16"),
    ("lossy-charset", "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb3", "ALTER TABLE t FORCE"),
    ("key-type", "ALTER TABLE t MODIFY id INT NOT NULL AUTO_INCREMENT", "ALTER TABLE t ADD x INT"),
    ("key-type", "ALTER TABLE parent MODIFY id INT", "ALTER TABLE parent MODIFY id BINARY(16)"),
    ("auto-increment-full", "ALTER TABLE nearly_full MODIFY v BIGINT",
     "ALTER TABLE nearly_full MODIFY id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT"),
    ("inexact-money", "ALTER TABLE t ADD total_price DOUBLE", "ALTER TABLE t ADD weight DOUBLE"),
    ("inexact-money", "ALTER TABLE t ADD fees FLOAT", "ALTER TABLE t ADD fees DECIMAL(9, 2)"),
    ("attribute-left-out", "ALTER TABLE large MODIFY v BIGINT",
     "ALTER TABLE large MODIFY v BIGINT NOT NULL"),
    ("attribute-left-out", "ALTER TABLE large MODIFY v BIGINT DEFAULT NULL",
     "ALTER TABLE large MODIFY v BIGINT NULL"),
    ("attribute-left-out", "ALTER TABLE told MODIFY v BIGINT DEFAULT NULL",
     "ALTER TABLE told MODIFY v BIGINT DEFAULT NULL COMMENT 'of it'"),
    ("attribute-left-out", "ALTER TABLE told MODIFY v BIGINT COMMENT 'of it'",
     "ALTER TABLE told MODIFY v BIGINT DEFAULT 8 COMMENT 'of it'"),
    ("attribute-left-out", "ALTER TABLE told CHANGE v u INT DEFAULT 7",
     "ALTER TABLE told ALTER v DROP DEFAULT"),
    ("attribute-left-out", "ALTER TABLE told MODIFY at DATETIME DEFAULT CURRENT_TIMESTAMP",
     "ALTER TABLE told MODIFY at DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"),
    ("attribute-left-out", "ALTER TABLE told MODIFY id BIGINT NOT NULL",
     "ALTER TABLE told RENAME COLUMN id TO ident"),
    ("timestamp-2038", "ALTER TABLE t ADD x TIMESTAMP", "ALTER TABLE t ADD x DATETIME"),
    ("zero-date", "ALTER TABLE t ADD x DATE NOT NULL DEFAULT '0000-00-00'",
     "ALTER TABLE t ADD x DATE NOT NULL DEFAULT '2000-01-01'"),
    ("redundant-index", "ALTER TABLE t ADD KEY again (a)", "ALTER TABLE t ADD KEY (d)"),
    ("redundant-index", "ALTER TABLE t ADD KEY (a, d)", "ALTER TABLE t ADD KEY (d, a)"),
    ("range-column-first", "ALTER TABLE t ADD KEY (d, a)", "ALTER TABLE t ADD KEY (d)"),
    ("range-column-first", "CREATE INDEX x ON t (d, e)", "CREATE INDEX x ON t (e, d)"),
    ("type-differs-elsewhere", "ALTER TABLE t ADD ref INT", "ALTER TABLE t ADD ref BIGINT"),
    ("reserved-word", "ALTER TABLE t ADD `groups` INT", "ALTER TABLE t ADD grp INT"),
    ("mixed-case-name", "ALTER TABLE t ADD newOne INT", "ALTER TABLE t ADD new_one INT"),
    ("mixed-case-name", "ALTER TABLE t RENAME COLUMN a TO aA", "ALTER TABLE t DROP COLUMN a"),
    ("charset-not-allowed", "ALTER TABLE t ADD x CHAR(9) CHARACTER SET latin1",
     "ALTER TABLE t ADD x CHAR(9)"),
    ("charset-not-allowed", "ALTER TABLE t DEFAULT CHARACTER SET latin1",
     "ALTER TABLE t DEFAULT CHARACTER SET utf8mb4"),
    ("collation-not-allowed", "ALTER TABLE t ADD x CHAR(9) COLLATE utf8mb4_general_ci",
     "ALTER TABLE t ADD x CHAR(9) COLLATE utf8mb4_bin"),
    ("too-many-indexes", "ALTER TABLE many ADD KEY (v)", "ALTER TABLE many DROP KEY c1"),
    ("long-text-index", "ALTER TABLE t ADD KEY (c(300))", "ALTER TABLE t ADD KEY (c(50))"),
    ("long-text-index", "ALTER TABLE t ADD x VARCHAR(400), ADD KEY (x)",
     "ALTER TABLE t ADD x VARCHAR(255), ADD KEY (x)"),
    ("not-null-without-default", "ALTER TABLE t ADD x INT NOT NULL",
     "ALTER TABLE t ADD x INT NOT NULL DEFAULT 0"),
    ("not-null-without-default", "ALTER TABLE t ADD x DATE NOT NULL",
     "ALTER TABLE t ADD x DATE NOT NULL DEFAULT (CURRENT_DATE)"),
    ("visibility-with-rebuild", "ALTER TABLE t ALTER INDEX ka INVISIBLE, MODIFY a BIGINT",
     "ALTER TABLE t ALTER INDEX ka INVISIBLE"),
    ("position-change", "ALTER TABLE t MODIFY a INT AFTER b", "ALTER TABLE t ADD x INT AFTER b"),
    ("position-change", "ALTER TABLE t CHANGE COLUMN a `f` INT FIRST",
     "ALTER TABLE t CHANGE COLUMN a `first` INT COMMENT 'AFTER b'"),
    ("instant", "ALTER TABLE t ADD x INT", "ALTER TABLE t MODIFY a BIGINT"),
    ("small-table", "ALTER TABLE t MODIFY a BIGINT", "ALTER TABLE t ADD x INT"),
    ("small-table", "ALTER TABLE t MODIFY a BIGINT", "ALTER TABLE large MODIFY v BIGINT"),
    ("written-just-now", "ALTER TABLE large DROP COLUMN v", "ALTER TABLE large ADD x INT"),
    ("written-just-now", "ALTER TABLE large DROP COLUMN v", "ALTER TABLE many DROP INDEX c1"),
)  # fmt: skip
ELSEWHERE_TESTED = {"preflight-server", "preflight-privileges"}


@pytest.fixture(scope="module")
def shop(mysql: PrivateServer) -> Iterator[Schema]:
    """Tables to ask about. No test changes them, and after the last one none has changed."""
    with fresh_schema(mysql) as schema:
        for sql in SETUP:
            schema.execute(sql)
        # Far above the limit of a small table: the server estimates rows from a sample of pages.
        make_numbers(schema, "large", 40_000)
        schema.execute("ANALYZE TABLE large")
        before = definitions(schema)
        yield schema
        assert definitions(schema) == before


def definitions(schema: Schema) -> dict[str, str]:
    return {
        table: schema.execute(f"SHOW CREATE TABLE `{table}`")[0][1] for table in tables_of(schema)
    }


def findings(schema: Schema, sql: str, **levels: str) -> list[Finding]:
    try:
        statement = parse_statement(sql, schema.name)
    except RefusedError as error:
        return findings_of_refusal(error)
    chosen = parse_levels({name.replace("_", "-"): text for name, text in levels.items()})
    return lint(schema.dsn, statement, chosen)


def rules_of(found: list[Finding]) -> set[str]:
    return {finding.rule for finding in found}


@pytest.mark.parametrize(("rule", "loud", "quiet"), CASES)
def test_a_rule_speaks_when_it_should_and_else_is_silent(
    shop: Schema, rule: str, loud: str, quiet: str
) -> None:
    if "large" in loud:
        shop.execute("UPDATE large SET v = v + 1 WHERE id = 1")
    found = [finding for finding in findings(shop, loud) if finding.rule == rule]
    assert found, findings(shop, loud)
    default = next(known.level for known in RULES if known.name == rule)
    assert {finding.level for finding in found} == {default}
    assert all(finding.message.endswith(".") for finding in found)
    assert rule not in rules_of(findings(shop, quiet))


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} | ELSEWHERE_TESTED == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("sql", "redundant"),
    [
        ("ADD KEY again (a)", ["again"]),
        ("ADD KEY x (d), ADD KEY y (d)", ["y"]),
        ("ADD UNIQUE KEY again (a)", ["ka"]),
        ("ADD KEY long_one (a, d)", ["ka"]),
        ("ADD KEY by_id (id)", ["by_id"]),
        ("ADD UNIQUE KEY by_id (id)", ["by_id"]),
        ("ADD KEY by_b (b)", []),
        ("ADD KEY first_b (b(10))", []),
        ("ADD KEY down (a DESC)", []),
        ("ADD FULLTEXT KEY words (b), ADD KEY by_b (b)", []),
        ("ADD KEY sum_of ((a + 1)), ADD KEY sum_again ((a + 1), a)", []),
        ("DROP KEY ka, ADD KEY kx (a)", []),
        ("ADD KEY x (e), RENAME INDEX ka TO kz", []),
    ],
)
def test_which_index_is_redundant(shop: Schema, sql: str, redundant: list[str]) -> None:
    found = [x for x in findings(shop, f"ALTER TABLE t {sql}") if x.rule == "redundant-index"]
    assert [x.message.split()[1] for x in found] == redundant


def test_tables_of_a_run_are_no_other_tables(schema: Schema) -> None:
    make_numbers(schema, "t", 10)
    schema.execute("CREATE TABLE _u_new (id INT PRIMARY KEY, ref BIGINT)")
    sql = "ALTER TABLE t ADD ref INT"
    assert "type-differs-elsewhere" not in rules_of(findings(schema, sql))
    schema.execute("RENAME TABLE _u_new TO u")
    assert "type-differs-elsewhere" in rules_of(findings(schema, sql))


@pytest.mark.parametrize(
    ("before", "after", "loses"),
    [
        ("INT", "INT UNSIGNED", "negative"),
        ("INT UNSIGNED", "INT", "2,147,483,647"),
        ("INT UNSIGNED", "BIGINT", ""),
        ("INT", "DECIMAL(9, 0)", "digits"),
        ("INT", "DECIMAL(10, 0)", ""),
        ("INT", "VARCHAR(11)", ""),
        ("INT", "VARCHAR(10)", "11 characters"),
        ("VARCHAR(20)", "INT", "converted"),
        ("DECIMAL(10, 2)", "DECIMAL(10, 1)", "rounded"),
        ("DECIMAL(10, 2)", "DECIMAL(10, 3)", "more than 7 digits"),
        ("DECIMAL(10, 2)", "DECIMAL(11, 3)", ""),
        ("DOUBLE", "FLOAT", "7 digits"),
        ("FLOAT", "DOUBLE", ""),
        ("CHAR(10)", "VARCHAR(10)", ""),
        ("VARCHAR(10)", "CHAR(9)", "9 characters"),
        ("VARCHAR(255)", "TINYTEXT", "255 bytes"),
        ("VARCHAR(60)", "TINYTEXT", ""),
        ("TEXT", "VARCHAR(1000)", "1,000 characters"),
        ("MEDIUMTEXT", "TEXT", "65,535 bytes"),
        ("VARBINARY(20)", "VARBINARY(10)", "10 bytes"),
        ("BLOB", "TEXT", "not every value is text"),
        ("DATETIME(6)", "DATETIME(3)", "3 decimals"),
        ("DATETIME", "DATETIME(3)", ""),
        ("DATETIME", "DATE", "time of day"),
        ("DATETIME", "TIMESTAMP", "2038"),
        ("DATE", "DATETIME", ""),
        ("DATETIME(3)", "VARCHAR(23)", ""),
        ("ENUM('a', 'it''s')", "ENUM('a')", '"it\'s"'),
        ("ENUM('a', 'b')", "ENUM('c', 'b', 'a')", ""),
        ("ENUM('a', 'abc')", "VARCHAR(2)", "3 characters"),
        ("SET('a', 'b')", "SET('b')", "'a'"),
        ("BIT(8)", "BIT(7)", "7 bits"),
        ("TEXT", "JSON", "converted"),
    ],
)
def test_what_a_narrower_type_cannot_hold(
    schema: Schema, before: str, after: str, loses: str
) -> None:
    schema.execute(f"CREATE TABLE t (id BIGINT PRIMARY KEY, v {before})")
    found = findings(schema, f"ALTER TABLE t MODIFY v {after}")
    narrow = [finding.message for finding in found if finding.rule == "narrow-type"]
    assert bool(narrow) == bool(loses), found
    assert all(loses in message for message in narrow), narrow


class TestServersAndAccounts:
    """What the preflight finds becomes findings, beside those of the rules."""

    def test_missing_privileges(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
        try:
            schema.execute(f"GRANT SELECT ON `{schema.name}`.* TO poor")
            dsn = Dsn.parse(f"mysql://poor:pw@127.0.0.1:{schema.server.port}/{schema.name}")
            found = lint(dsn, parse_statement("ALTER TABLE t ADD x INT", schema.name))
        finally:
            schema.execute("DROP USER poor")
        assert rules_of(found) == {"preflight-privileges"}
        assert "GRANT REPLICATION SLAVE" in found[0].remedy
        assert tables_of(schema) == {"t"}

    def test_a_server_without_a_binary_log(self) -> None:
        with PrivateServer(gtid=False, options={"skip-log-bin": None}) as server:
            server.execute("CREATE DATABASE d")
            schema = Schema(server, "d")
            make_numbers(schema, "t", 10)
            found = findings(schema, "ALTER TABLE t DROP v")
        assert {"preflight-server", "drop-column"} <= rules_of(found)
        assert refused(found)
        assert "log-bin" in found[0].remedy


def test_what_takes_too_long_to_find_out_is_said_to_be_unknown(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_NULLS_TIMEOUT_MS", 1)
    make_numbers(schema, "t", 300_000, "v INT NULL")

    def said() -> list[str]:
        found = findings(schema, "ALTER TABLE t MODIFY v INT NOT NULL")
        return [x.message for x in found if x.rule == "not-null-with-nulls"]

    # On a busy machine the server may look at the clock only when it has found out.
    (message,) = wait_until(said, "a statement that was ended by the clock")
    assert "could not be found out" in message


class TestLevels:
    """What a person may choose, and what not."""

    def test_a_level_can_be_raised_lowered_and_put_off(self, shop: Schema) -> None:
        sql = "ALTER TABLE t DROP COLUMN a, ADD newOne INT"
        found = findings(shop, sql, drop_column="refuse", mixed_case_name="off")
        assert refused(found)
        assert found[0].rule == "drop-column"
        assert "mixed-case-name" not in rules_of(found)
        assert not refused(findings(shop, sql))

    def test_the_heaviest_come_first(self, shop: Schema) -> None:
        found = findings(shop, "ALTER TABLE t DROP COLUMN a, ADD newOne INT, ADD COLUMN a INT")
        weights = [finding.level.weight for finding in found]
        assert weights == sorted(weights)
        assert len(set(weights)) == 4

    def test_what_a_run_refuses_cannot_be_lowered(self) -> None:
        fixed = {rule.name for rule in RULES if rule.fixed}
        assert {"triggers", "no-usable-key", "enum-of-key-reordered"} <= fixed
        for name in fixed:
            assert parse_levels({name: "refuse"}) == {name: LintLevel.REFUSE}
            with pytest.raises(RefusedError, match="cannot be lowered"):
                parse_levels({name: "warn"})

    def test_all_mistakes_are_named(self) -> None:
        with pytest.raises(RefusedError) as refusal:
            parse_levels({"drop-colum": "warn", "instant": "loud", "triggers": "off"})
        first, second, third = refusal.value.reasons
        assert "did you mean drop-column?" in first
        assert "refuse, acknowledge, warn, advise, off" in second
        assert "triggers" in third


def test_the_documentation_lists_the_rules_as_they_are() -> None:
    assert as_markdown() in DOCUMENT.read_text()
