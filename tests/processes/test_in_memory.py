"""The queue of tasks within one process wakes who waits for it."""

import threading

import pytest
from kombu import Connection, Consumer, Queue

from mailrelay.processes.in_memory import Transport
from tests.harness.processes import base_environment, manage

PATH = f"{Transport.__module__}:{Transport.__name__}"


@pytest.fixture
def queue():
    return Queue("waking-test", no_ack=True)


@pytest.fixture
def connection(queue):
    with Connection("memory://", transport=PATH) as made:
        yield made
        queue(made.default_channel).delete()


def counted(connection) -> list[None]:
    """Count how often the connection's transport looks at its queues."""
    looks, cycle = [], connection.transport.cycle
    look = cycle.get

    def get(*args, **options):
        looks.append(None)
        return look(*args, **options)

    cycle.get = get
    return looks


def test_who_waits_is_woken_by_what_another_connection_puts(connection, queue):
    got, begun = [], threading.Event()
    with Consumer(connection, [queue], callbacks=[lambda body, _: got.append(body)]):
        looks = counted(connection)

        def publish():
            begun.wait()
            with Connection("memory://", transport=PATH) as other:
                other.Producer().publish("hello", routing_key=queue.name, declare=[queue], retry=False)

        publisher = threading.Thread(target=publish)
        publisher.start()
        begun.set()
        connection.drain_events(timeout=60)
        publisher.join()
    assert got == ["hello"]
    assert len(looks) <= 4


def test_who_waits_in_vain_hardly_looks_and_is_told(connection, queue):
    with Consumer(connection, [queue]):
        looks = counted(connection)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=1.2)
    assert len(looks) <= 4


def test_the_one_process_uses_it(tmp_path):
    said = manage(
        base_environment(tmp_path),
        *("shell", "--no-imports", "-c"),
        "from celery import current_app as app; print(app.connection().get_transport_cls())",
    )
    assert said.stdout.strip() == str(Transport)
