"""Mail is held for a sender that a person paused: the reason has a word."""

from django.db import migrations, models

import mailrelay.vocabulary
from mailrelay.models.choices import choices


class Migration(migrations.Migration):
    dependencies = [
        ("mailrelay", "0014_finding_messages"),
    ]

    operations = [
        migrations.AlterField(
            model_name="appregistration",
            name="failing",
            field=models.CharField(
                blank=True,
                choices=choices(mailrelay.vocabulary.Reason),
                default=mailrelay.vocabulary.Reason["NONE"],
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=choices(mailrelay.vocabulary.Reason),
                default=mailrelay.vocabulary.Reason["NONE"],
                max_length=40,
            ),
        ),
        migrations.AlterField(
            model_name="mailbox",
            name="blocked",
            field=models.CharField(
                blank=True,
                choices=choices(mailrelay.vocabulary.Reason),
                default=mailrelay.vocabulary.Reason["NONE"],
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AlterField(
            model_name="sendlog",
            name="reason",
            field=models.CharField(
                blank=True, choices=choices(mailrelay.vocabulary.Reason), default="", max_length=40
            ),
        ),
    ]
