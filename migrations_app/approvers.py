"""Who may approve a request on a target."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import QuerySet

from migrations_app import lifecycle
from migrations_app.models import Target

_NAMED_AT_MOST = 5


def candidates(target: Target, requester: User) -> QuerySet[User]:
    """Active people whose approval would count, the requester left out."""
    people = User.objects.with_perm(
        f"{lifecycle.APP}.{lifecycle.APPROVE}",
        backend="django.contrib.auth.backends.ModelBackend",
    ).exclude(pk=requester.pk)
    groups = target.approver_groups.values_list("pk", flat=True)
    if groups:
        people = people.filter(groups__in=groups)
    return people.distinct().order_by("username")


def words(target: Target, requester: User) -> str:
    """How many must approve and who can, as a sentence."""
    found = candidates(target, requester)
    names = [person.get_username() for person in found[: _NAMED_AT_MOST + 1]]
    needed = target.required_approvals
    if len(names) < needed:
        return (
            f"{needed} must approve, but only {len(names)} could: give more people the role, or "
            f"the groups that {target.name} asks for."
        )
    listed = ", ".join(names[:_NAMED_AT_MOST])
    more = " and others" if len(names) > _NAMED_AT_MOST else ""
    return f"{needed} of these must approve: {listed}{more}."
