"""The control database on a server: tables, roles, guarded moves and leases work there too."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from tests.conftest import Schema

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
TAKE_A_LEASE = """
import datetime as dt
from django.contrib.auth.models import Group, User
from django.utils import timezone
from migrations_app import lifecycle
from migrations_app.models import Event, MigrationRequest, State, Target

assert Group.objects.count() == 3
person = User.objects.create(username="rita")
target = Target.objects.create(name="t", host="h", user="u", database="d")
request = MigrationRequest.objects.create(
    target=target, requester=person, statement="ALTER TABLE é ADD x INT", schema_name="d",
    table_name="é", desired_state="run",
)
MigrationRequest.objects.filter(pk=request.pk).update(state=State.QUEUED)
taken = lifecycle.take_lease(request.pk, "worker", 30)
assert taken is not None and taken.lease_token == 1
assert lifecycle.take_lease(request.pk, "another", 30) is None
left = taken.lease_expires_at - timezone.now()
assert dt.timedelta(seconds=20) < left < dt.timedelta(seconds=40), left
lifecycle.renew_lease(taken, 1, 30, rows_copied=2**40)
assert lifecycle.holds_lease(taken, 1)
assert lifecycle.expired() == []
lifecycle.renew_lease(taken, 1, -1)
assert lifecycle.expired() == [taken]
assert not lifecycle.holds_lease(taken, 1)
try:
    lifecycle.renew_lease(taken, 0, 30)
except lifecycle.LeaseLostError:
    pass
else:
    raise AssertionError("an old token was accepted")
assert Event.objects.get(kind="taken_up").request_id == request.pk
print("as it should be")
"""


def manage(database_url: str, folder: pathlib.Path, *arguments: str) -> str:
    """Run manage.py on a control database; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "VAR_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_requests_and_leases_live_in_mysql_whatever_its_time_zone(
    schema: Schema, tmp_path: pathlib.Path
) -> None:
    before = schema.execute("SELECT @@GLOBAL.time_zone")[0][0]
    schema.execute("SET GLOBAL time_zone = '+09:00'")
    try:
        url = schema.server.root_dsn(schema.name)
        manage(url, tmp_path, "migrate", "--verbosity", "0")
        assert "as it should be" in manage(url, tmp_path, "shell", "-c", TAKE_A_LEASE)
    finally:
        schema.execute(f"SET GLOBAL time_zone = '{before}'")
