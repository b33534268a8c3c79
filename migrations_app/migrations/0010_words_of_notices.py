"""How the list of notices is called."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("migrations_app", "0006_roles_and_results")]
    operations = [
        migrations.AlterModelOptions(
            name="noticedelivery",
            options={"ordering": ("-id",), "verbose_name_plural": "notice deliveries"},
        ),
    ]
