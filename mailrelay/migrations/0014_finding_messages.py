"""What the console finds messages by: words of the subject, client, Graph code, size, and MAIL FROM.

The words of subjects that are on record already are filled in by retention, a batch at a time.
"""

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Lower

#: `detail=column` leaves positions out, which only phrases need.
SQLITE = """
    CREATE VIRTUAL TABLE mailrelay_subject
    USING fts5(subject, detail=column, tokenize='unicode61 remove_diacritics 0')
"""
POSTGRESQL = (
    "CREATE TABLE mailrelay_subject (id bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX subject_words ON mailrelay_subject USING gin (words)",
)


def make(apps, schema_editor):
    statements = POSTGRESQL if schema_editor.connection.vendor == "postgresql" else [SQLITE]
    for statement in statements:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    schema_editor.execute("DROP TABLE mailrelay_subject")


class Migration(migrations.Migration):
    dependencies = [("mailrelay", "0013_submissions")]

    operations = [
        migrations.RunPython(make, drop),
        migrations.AlterField(
            model_name="message",
            name="client",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=models.SET_NULL,
                related_name="messages",
                to="mailrelay.smtpclient",
            ),
        ),
        migrations.RemoveIndex(model_name="message", name="message_message_id"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["message_id_key", "-created_at"], name="message_message_id"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["client", "-created_at"], name="message_client_row"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["-created_at"], condition=Q(size__gte=1048576), name="message_large"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                Lower("mail_from"),
                F("created_at").desc(),
                condition=~Q(mail_from=F("header_from")),
                name="message_mail_from",
            ),
        ),
        migrations.AddIndex(
            model_name="sendlog",
            index=models.Index(
                fields=["graph_code", "-started_at"],
                condition=~Q(graph_code=""),
                name="attempt_graph_code",
            ),
        ),
    ]
