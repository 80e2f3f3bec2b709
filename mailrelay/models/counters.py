"""Durable totals, the processes that are alive, and the time in which one was."""

from django.db import models


class Counter(models.Model):
    """A total, in a row a thread of each process: incremented in the transaction of the move that it counts.

    Threads that shared a row would wait for each other's commits, one after the other; rows that nobody adds
    to any more are added up into the row whose process is the empty string, so that the sum never falls.
    """

    #: The process and its thread.
    process = models.CharField(max_length=200)
    name = models.CharField(max_length=100)
    value = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["process", "name"], name="counter_of_process"),)

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


class HourlyTotal(models.Model):
    """What a total had come to when it was last looked at in an hour: two of them make the hour's number."""

    hour = models.DateTimeField()
    name = models.CharField(max_length=100)
    total = models.BigIntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["hour", "name"], name="total_of_hour"),)

    def __str__(self) -> str:
        return f"{self.name}={self.total} at {self.hour:%Y-%m-%d %H}"


class Worker(models.Model):
    """A process that delivers, seen alive at `seen_at`."""

    name = models.CharField(max_length=200, unique=True)
    queues = models.CharField(max_length=200)
    capacity = models.PositiveIntegerField(help_text="Deliveries that it runs at once")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class WorkingTime(models.Model):
    """One row: until when a worker was alive, and which spans before do not count as time that passed."""

    noted_at = models.DateTimeField()
    #: [begin, end] of each span in unix seconds, oldest first: nobody delivered, or the clock was set.
    gaps = models.JSONField(default=list)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"until {self.noted_at:%Y-%m-%d %H:%M:%S}"
