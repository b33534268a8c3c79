"""Targets without their secrets; and who asks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError

from migrations_app import offers
from migrations_app.api.auth import token_of, user_of
from migrations_app.api.schemas import Me, TargetOut
from migrations_app.models import Scope, Target

router = Router(tags=["targets"])


@router.get("/targets", response=list[TargetOut], summary="Targets, by name")
def list_targets(request: HttpRequest) -> list[dict[str, Any]]:
    if not user_of(request, Scope.READ).has_perm("migrations_app.view_target"):
        raise HttpError(403, "Your account may not see targets.")
    names = (
        "name", "address", "user", "tls_mode", "required_approvals", "allowed_hours", "time_zone",
        "max_volume", "max_concurrent_runs",
    )  # fmt: skip
    return [
        {
            **{name: getattr(target, name) for name in names},
            "approver_groups": [group.name for group in target.approver_groups.all()],
        }
        for target in Target.objects.prefetch_related("approver_groups")
    ]


@router.get("/me", response=Me, summary="Whose token this is")
def me(request: HttpRequest) -> dict[str, Any]:
    token = token_of(request)
    permissions = (offers.SUBMIT, offers.APPROVE, offers.OPERATE, offers.VIEW)
    return {
        "username": token.user.get_username(),
        "permissions": [
            name.partition(".")[2] for name in permissions if token.user.has_perm(name)
        ],
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    }
