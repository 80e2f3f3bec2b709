"""Senders: what becomes of a text that one request has no room for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0021_working_time")]

    operations = [
        migrations.AddField(
            model_name="senderconfig",
            name="large_text",
            field=models.CharField(
                choices=[("file", "file"), ("refuse", "refuse")],
                db_default="file",
                default="file",
                help_text="A text that one request has no room for travels as a file, or is refused",
                max_length=10,
                verbose_name="text that is too large",
            ),
        ),
    ]
