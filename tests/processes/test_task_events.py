"""What Flower is told: every step of every task, gathered for a moment, and never at the mails' expense."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from celery import Celery
from kombu.asynchronous import Hub

from mailrelay.processes.task_events import TaskEventsTogether
from tests.harness.ports import eventually
from tests.harness.processes import mail, send

STEPS = ("task-sent", "task-received", "task-started", "task-succeeded")


def test_every_step_of_a_task_is_published(on_redis):
    gateway = on_redis.start()
    heard = Celery(broker=on_redis.broker.url)
    seen = Counter()
    with heard.connection() as connection:
        handlers = {"*": lambda event: seen.update([event["type"]])}
        receiver = heard.events.Receiver(connection, handlers=handlers)
        listening = threading.Thread(target=receiver.capture, kwargs={"timeout": 60}, daemon=True)
        listening.start()
        eventually(lambda: seen["worker-heartbeat"], what="a sign of the worker")
        for number in range(3):
            send(gateway.smtp_port, mail(number))
        eventually(lambda: seen["task-succeeded"] == 3, what="the end of three tasks")
        receiver.should_stop = True
        listening.join(30)

    assert {step: seen[step] for step in STEPS} == dict.fromkeys(STEPS, 3)


def test_a_burst_leaves_the_workers_connection_to_rabbitmq_whole(on_rabbitmq):
    on_rabbitmq.environment |= {"SENDER_CONCURRENCY": "0", "SENDER_MESSAGES_PER_MINUTE": "0"}
    on_rabbitmq.sandbox.world(limits={"concurrency": 0, "messages_per_minute": 0})
    gateway = on_rabbitmq.start()

    with ThreadPoolExecutor(6) as applications:
        list(applications.map(lambda number: send(gateway.smtp_port, mail(number)), range(400)))

    on_rabbitmq.wait_for(90, sent=400)


def test_no_thread_but_the_loops_publishes_however_much_is_gathered():
    """Celery's dispatcher and kombu's loop as they are; only what the producer is given is noted."""
    by, heard, hub = [], Celery(broker="memory://"), Hub()
    with heard.connection_for_write() as connection:
        told = heard.events.Dispatcher(connection, buffer_group=["task"])
        told.on_send_buffered = lambda: hub.call_soon(told.flush)
        told.publisher.publish = lambda events, **_: by.append((threading.get_ident(), len(events)))
        TaskEventsTogether(SimpleNamespace(app=heard)).start(SimpleNamespace(hub=hub, event_dispatcher=told))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(
                lambda: [told.send("task-started", uuid=str(number)) for number in range(100)]
            ).result()
        assert by == []

        eventually(lambda: hub.fire_timers() is not None and by, what="the loop's turn")

    assert by == [(threading.get_ident(), 100)]
