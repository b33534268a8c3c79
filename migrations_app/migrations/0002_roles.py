"""The roles of the admin, as groups with exactly the permissions each needs."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

SEEN_BY_ALL = (
    "view_target", "view_migrationrequest", "view_approval", "view_run", "view_checkpoint",
    "view_command", "view_event", "view_sample",
)  # fmt: skip
ROLES = {
    "Requesters": ("submit_migrationrequest", "add_migrationrequest"),
    "Approvers": ("approve_migrationrequest",),
    "Operators": ("operate_migrationrequest", "add_target", "change_target"),
}


def make_roles(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations; here they are needed at once.
    app_config = apps.get_app_config("migrations_app")
    app_config.models_module = True
    create_permissions(app_config, apps=apps, verbosity=0)
    app_config.models_module = None
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    for name, own in ROLES.items():
        group, _ = group_model.objects.get_or_create(name=name)
        permissions = permission_model.objects.filter(
            content_type__app_label="migrations_app", codename__in=(*SEEN_BY_ALL, *own)
        )
        group.permissions.add(*permissions)


def remove_roles(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_roles, remove_roles)]
