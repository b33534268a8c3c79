"""For load balancers and monitors: is the process there, and can migrations run?"""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from migrations_app import heartbeat, metrics


@require_safe
@never_cache
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is looked at: a restart would not mend anything else."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when the control database answers, is migrated, and a worker lives; else 503."""
    checks = {"database": _database(), "migrations": "not asked", "workers": "not asked"}
    if checks["database"] == "ok":
        checks["migrations"] = _migrations()
    if checks["migrations"] == "ok":
        checks["workers"] = _workers()
    ready = all(said == "ok" for said in checks.values())
    return JsonResponse(
        {"status": "ok" if ready else "not ready", "checks": checks}, status=200 if ready else 503
    )


@require_safe
@never_cache
def prometheus(request: HttpRequest) -> HttpResponse:
    """Metrics in Prometheus' text format. Off unless METRICS_TOKEN or METRICS_PUBLIC is set."""
    token = settings.METRICS_TOKEN
    if not token and not settings.METRICS_PUBLIC:
        return HttpResponse("Metrics are off: set METRICS_TOKEN.\n", status=404)
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and not constant_time_compare(given, token):
        return HttpResponse(
            "The token is missing or wrong.\n", status=401, headers={"WWW-Authenticate": "Bearer"}
        )
    return HttpResponse(metrics.text(), content_type=metrics.CONTENT_TYPE)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return "The control database does not answer."
    return "ok"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError):
        return "The control database does not answer."
    return f"{len(missing)} to be applied: run manage.py migrate." if missing else "ok"


def _workers() -> str:
    try:
        alive = heartbeat.live().exists()
    except (DatabaseError, InterfaceError):
        return "The control database does not answer."
    return "ok" if alive else "No worker lives: start manage.py worker."
