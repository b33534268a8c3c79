"""What stands in the way, said in words: data, tables, accounts, servers."""

from __future__ import annotations

import pathlib
import re

from migrations_app.engine import Dsn, OutcomeKind, inspect_table, inspect_target
from playground.server import find_free_port
from tests.conftest import Schema
from tests.engine.support import make_numbers, migrate, rows_of, tables_of

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


class TestData:
    """Data that cannot take its new shape ends the run, and names the row."""

    def test_a_value_that_does_not_fit_names_its_row(self, schema: Schema) -> None:
        make_numbers(schema, "t", 3_000)
        schema.execute("UPDATE t SET v = 40000 WHERE id = 2500")
        outcome, _ = migrate(schema, "ALTER TABLE t MODIFY v SMALLINT NOT NULL")
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=2500" in outcome.message
        assert "'v'" in outcome.message
        assert rows_of(schema, "t")[2499] == (2500, 40000)

    def test_a_null_that_is_not_allowed_any_more_names_its_row(self, schema: Schema) -> None:
        make_numbers(schema, "t", 1_500, "v INT NULL")
        schema.execute("UPDATE t SET v = NULL WHERE id = 700")
        outcome, _ = migrate(schema, WIDEN)
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=700" in outcome.message

    def test_duplicates_for_a_new_unique_index_are_named(self, schema: Schema) -> None:
        make_numbers(schema, "t", 3_000)
        schema.execute("UPDATE t SET v = 17 WHERE id = 2900")
        outcome, _ = migrate(schema, "ALTER TABLE t ADD UNIQUE KEY u (v), FORCE")
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=2900" in outcome.message
        assert "id=17" in outcome.message
        assert "'17'" in outcome.message


class TestRefusals:
    """Before anything is touched, with every reason, in words."""

    def refused(self, schema: Schema, statement: str) -> str:
        before = tables_of(schema)
        outcome, _ = migrate(schema, statement)
        assert (outcome.kind, outcome.exit_code) == (OutcomeKind.REFUSED, 2), outcome
        assert tables_of(schema) == before
        return outcome.message

    def test_a_table_that_is_not_there(self, schema: Schema) -> None:
        assert "There is no table" in self.refused(schema, "ALTER TABLE nowhere ADD x INT")

    def test_a_column_that_is_not_there(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        message = self.refused(schema, "ALTER TABLE t DROP COLUMN nothing")
        assert "does not accept the change" in message
        assert "nothing" in message

    def test_a_table_without_a_usable_key(self, schema: Schema) -> None:
        schema.execute("CREATE TABLE t (a INT, b INT, UNIQUE KEY (a))")
        assert "no usable key" in self.refused(schema, "ALTER TABLE t MODIFY b BIGINT")

    def test_triggers_and_foreign_keys_are_reported_together(self, schema: Schema) -> None:
        make_numbers(schema, "p", 10)
        schema.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, p BIGINT, FOREIGN KEY (p) REFERENCES p (id))"
        )
        schema.execute("CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW SET NEW.p = 1")
        message = self.refused(schema, "ALTER TABLE t MODIFY id BIGINT")
        assert "trg" in message
        assert "foreign keys" in message

    def test_a_view_and_another_engine(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE VIEW w AS SELECT * FROM t")
        schema.execute("CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM")
        assert "view" in self.refused(schema, "ALTER TABLE w ADD x INT")
        assert "InnoDB" in self.refused(schema, "ALTER TABLE m MODIFY id BIGINT")

    def test_an_old_table_in_the_way(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE TABLE _t_old (id INT)")
        assert "_t_old exists" in self.refused(schema, WIDEN)

    def test_missing_privileges_are_named_with_their_grant(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
        try:
            schema.execute(f"GRANT SELECT, INSERT ON `{schema.name}`.* TO poor")
            dsn = Dsn.parse(f"mysql://poor:pw@127.0.0.1:{schema.server.port}/{schema.name}")
            problems = " ".join(inspect_table(dsn, WIDEN))
        finally:
            schema.execute("DROP USER poor")
        assert "REPLICATION SLAVE, REPLICATION CLIENT" in problems
        assert "DELETE" in problems
        assert "GRANT" in problems

    def test_the_accounts_rights_show_every_trigger(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1")
        enough = re.search(r"GRANT (SELECT, .*) ON shop", README.read_text())
        assert enough
        schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
        try:
            schema.execute("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO poor")
            granted = enough[1]
            schema.execute(f"GRANT {granted} ON `{schema.name}`.* TO poor")
            dsn = Dsn.parse(f"mysql://poor:pw@127.0.0.1:{schema.server.port}/{schema.name}")
            (problem,) = inspect_table(dsn, WIDEN)
            assert "trg" in problem
            schema.execute(f"REVOKE TRIGGER ON `{schema.name}`.* FROM poor")
            (problem,) = inspect_table(dsn, WIDEN)
            assert "lacks TRIGGER" in problem
        finally:
            schema.execute("DROP USER poor")

    def test_foreign_keys_of_a_schema_out_of_sight(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        child = f"{schema.name}_elsewhere"
        schema.execute(f"CREATE DATABASE {child}")
        schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
        try:
            schema.execute(
                f"CREATE TABLE {child}.c (id INT PRIMARY KEY, p BIGINT, "
                f"CONSTRAINT to_t FOREIGN KEY (p) REFERENCES `{schema.name}`.t (id))"
            )
            schema.execute("GRANT REPLICATION SLAVE, REPLICATION CLIENT, PROCESS ON *.* TO poor")
            schema.execute(f"GRANT ALL ON `{schema.name}`.* TO poor")
            dsn = Dsn.parse(f"mysql://poor:pw@127.0.0.1:{schema.server.port}/{schema.name}")
            (problem,) = inspect_table(dsn, WIDEN)
            assert f"({child}.c.to_t)" in problem
            (problem,) = inspect_table(schema.dsn, WIDEN)
            assert f"({child}.c.to_t)" in problem
        finally:
            schema.execute("DROP USER poor")
            schema.execute(f"DROP DATABASE {child}")


class TestTargets:
    """A connection test says in words what is wrong."""

    def test_a_good_target_has_no_problems(self, schema: Schema) -> None:
        report = inspect_target(schema.dsn)
        assert report.problems == []
        assert report.version

    def test_a_wrong_password(self, schema: Schema) -> None:
        dsn = Dsn.parse(f"mysql://root:wrong@127.0.0.1:{schema.server.port}/{schema.name}")
        (problem,) = inspect_target(dsn).problems
        assert "wrong password" in problem
        assert "'root'" in problem

    def test_a_server_that_is_down(self) -> None:
        dsn = Dsn.parse(f"mysql://root:x@127.0.0.1:{find_free_port()}/d")
        (problem,) = inspect_target(dsn).problems
        assert "cannot be reached" in problem

    def test_a_schema_that_is_not_there(self, schema: Schema) -> None:
        dsn = Dsn.parse(schema.server.root_dsn("no_such_schema"))
        (problem,) = inspect_target(dsn).problems
        assert "no schema 'no_such_schema'" in problem
