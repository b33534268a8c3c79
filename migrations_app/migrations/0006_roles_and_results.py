"""What earlier orders came to, what each role may see of the new, and the row that is locked."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

SEEN_BY_ALL = ("view_worker", "view_noticechannel", "view_noticedelivery")
ROLES = {
    "Requesters": (),
    "Approvers": (),
    "Operators": ("add_noticechannel", "change_noticechannel", "delete_noticechannel"),
}


def forwards(apps: Any, schema_editor: Any) -> None:
    apps.get_model("migrations_app", "Latch").objects.get_or_create(name="admission")
    commands = apps.get_model("migrations_app", "Command").objects
    commands.filter(obeyed_at__isnull=False).update(result="done")
    # Permissions are made after all migrations; here they are needed at once.
    app_config = apps.get_app_config("migrations_app")
    app_config.models_module = True
    create_permissions(app_config, apps=apps, verbosity=0)
    app_config.models_module = None
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    for name, own in ROLES.items():
        group, _ = group_model.objects.get_or_create(name=name)
        group.permissions.add(
            *permission_model.objects.filter(
                content_type__app_label="migrations_app", codename__in=(*SEEN_BY_ALL, *own)
            )
        )


class Migration(migrations.Migration):
    dependencies = [("migrations_app", "0005_control_plane")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
