"""What the totals had come to by the hour, for the overview."""

from datetime import timedelta

from django.db import migrations, models
from django.db.models import Sum
from django.utils import timezone


def begin_here(apps, schema_editor):
    """What was counted before there were hours belongs to none of them."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    totals = apps.get_model("mailrelay", "Counter").objects.values_list("name").annotate(total=Sum("value"))
    hourly = apps.get_model("mailrelay", "HourlyTotal").objects
    for name, total in totals:
        hourly.create(hour=now - timedelta(hours=1), name=name, total=total)


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0007_release_and_parts")]

    operations = [
        migrations.CreateModel(
            name="HourlyTotal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("name", models.CharField(max_length=100)),
                ("total", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("hour", "name"), name="total_of_hour"),
                ],
            },
        ),
        migrations.RunPython(begin_here, migrations.RunPython.noop),
    ]
