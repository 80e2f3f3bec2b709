"""What a client asks of reports (RFC 3461): kept with the message and with each recipient."""

from django.db import migrations, models


def text(length):
    return models.CharField(blank=True, db_default="", default="", editable=False, max_length=length)


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0016_alerts")]

    operations = [
        migrations.AddField("message", "dsn_ret", text(4)),
        migrations.AddField("message", "dsn_envid", text(100)),
        migrations.AddField("recipient", "dsn_notify", text(24)),
        migrations.AddField("recipient", "dsn_orcpt", text(500)),
    ]
