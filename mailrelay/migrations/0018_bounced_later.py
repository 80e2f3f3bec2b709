"""Reports in the senders' inboxes about mail that was sent, and how far the inboxes were read."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0017_delivery_status_notices")]

    operations = [
        migrations.CreateModel(
            name="Inbox",
            fields=[
                (
                    "mailbox",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="inbox",
                        serialize=False,
                        to="mailrelay.mailbox",
                    ),
                ),
                ("looked_at", models.DateTimeField(editable=False, null=True)),
                ("read_until", models.DateTimeField(editable=False, null=True)),
                ("refused_at", models.DateTimeField(editable=False, null=True)),
            ],
            options={"verbose_name_plural": "inboxes", "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="NonDelivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("report", models.CharField(max_length=200)),
                ("received_at", models.DateTimeField()),
                ("recipient", models.CharField(max_length=320)),
                (
                    "status",
                    models.CharField(
                        blank=True, default="", help_text="Enhanced code (RFC 3463)", max_length=12
                    ),
                ),
                ("diagnostic", models.TextField(blank=True, default="")),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="non_deliveries",
                        to="mailrelay.message",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "non-deliveries",
                "default_permissions": (),
                "indexes": [models.Index(fields=["-received_at"], name="non_delivery_received")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("message", "report", "recipient"), name="recipient_of_report"
                    )
                ],
            },
        ),
    ]
