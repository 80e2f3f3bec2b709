"""Senders: what becomes of an invitation whose calendar does not name exactly the recipients."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0022_large_text")]

    operations = [
        migrations.AddField(
            model_name="senderconfig",
            name="invitations",
            field=models.CharField(
                choices=[("file", "file"), ("refuse", "refuse"), ("leave", "leave")],
                db_default="file",
                default="file",
                help_text="What becomes of an invitation whose calendar does not name exactly the recipients",
                max_length=10,
                verbose_name="invitations to others",
            ),
        ),
    ]
