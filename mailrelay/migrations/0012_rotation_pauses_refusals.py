"""A certificate beside the one that it replaces, senders that rest, and what the listener refused."""

from django.db import migrations, models

import mailrelay.models.encrypted


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0011_learned_and_lost")]

    operations = [
        migrations.AddField(
            model_name="appregistration",
            name="next_certificate",
            field=mailrelay.models.encrypted.EncryptedTextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="appregistration",
            name="next_certificate_expires_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="appregistration",
            name="next_certificate_password",
            field=mailrelay.models.encrypted.EncryptedTextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="senderconfig",
            name="pause_reason",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=500),
        ),
        migrations.AddField(
            model_name="senderconfig",
            name="paused_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="senderconfig",
            name="paused_by",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="smtpclient",
            name="seen_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name="Refusal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("address", models.CharField(max_length=64)),
                ("rule", models.CharField(max_length=60)),
                (
                    "client_name",
                    models.CharField(blank=True, default="", max_length=200, verbose_name="client"),
                ),
                ("mail_from", models.CharField(blank=True, default="", max_length=320, verbose_name="from")),
                ("reply", models.CharField(default="", max_length=500)),
                ("count", models.PositiveBigIntegerField(default=0)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("address", "rule"), name="refusal_of_address")
                ],
            },
        ),
    ]
