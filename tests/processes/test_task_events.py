"""What Flower is told: every step of every task, gathered for a moment, and never at the mails' expense."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

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
