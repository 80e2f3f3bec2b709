"""When a mailbox's limit was learned, drafts asked for without an answer on record, late mail of unknown fate."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0010_api_tokens")]

    operations = [
        migrations.AddField(
            model_name="mailbox",
            name="direct_limit_learned_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="sendlog",
            name="draft_asked",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddIndex(
            model_name="sendlog",
            index=models.Index(
                fields=["started_at"],
                condition=models.Q(("draft_asked", True)),
                name="attempt_draft_asked",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["created_at"],
                condition=models.Q(("delay_warned_at__isnull", True), ("state", "uncertain")),
                name="delivery_maybe_unwarned",
            ),
        ),
    ]
