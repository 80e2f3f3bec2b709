"""The age of mail counts from its release; parts of a split message have numbers of their own."""

from django.db import migrations, models
from django.db.models.functions import Coalesce


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0006_smtp_clients")]

    operations = [
        migrations.RemoveIndex(model_name="delivery", name="delivery_age"),
        migrations.AddField(
            model_name="delivery",
            name="part",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="delivery",
            name="released_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                Coalesce("released_at", "created_at"),
                condition=models.Q(("state__in", ["queued", "deferred"])),
                name="delivery_age",
            ),
        ),
    ]
