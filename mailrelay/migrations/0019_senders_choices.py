"""Senders: who gets the mail, the copy in Sent Items, and who stands in while one is held."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mailrelay', '0018_bounced_later'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='copy_allowed',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name='delivery',
            name='lent_by',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mailrelay.senderconfig'),
        ),
        migrations.AddField(
            model_name='senderconfig',
            name='fallback',
            field=models.ForeignKey(blank=True, help_text="Sends this sender's mail while it is held for a fault of its mailbox or app registration", null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='mailrelay.senderconfig'),
        ),
        migrations.AddField(
            model_name='senderconfig',
            name='headers_rule',
            field=models.BooleanField(db_default=False, default=False, help_text='Mail goes to whom To, Cc and Bcc name, whatever RCPT TO said; to RCPT TO where they name nobody', verbose_name='recipients from the header'),
        ),
        migrations.AddField(
            model_name='senderconfig',
            name='sent_items',
            field=models.CharField(choices=[('keep', 'keep'), ('remove', 'remove')], db_default='keep', default='keep', help_text='Removing them afterwards needs Mail.ReadWrite', max_length=10, verbose_name='copies in Sent Items'),
        ),
        migrations.AddField(
            model_name='sendlog',
            name='copy_due_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('lent_by__isnull', False), ('state__in', ['queued', 'deferred', 'held'])), fields=['id'], name='delivery_lent'),
        ),
        migrations.AddIndex(
            model_name='sendlog',
            index=models.Index(condition=models.Q(('copy_due_at__isnull', False)), fields=['copy_due_at'], name='attempt_copy_due'),
        ),
    ]
