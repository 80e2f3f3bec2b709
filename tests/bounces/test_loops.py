"""Mail that comes back again and again is held for a person; mail that merely looks alike is not."""

from tests.harness.processes import mail, mailq, manage, send

RELAYED = {"Received": "from outlook.example by mail.example with ESMTPS; Sun, 1 Nov 2026 12:00:00 +0000"}


def relayed(turn: int) -> dict[str, str]:
    """Give the field of the server that a turn came through last: no two turns are the same to the byte."""
    return {"Received": RELAYED["Received"].replace("12:00", f"12:{turn:02}")}


def test_the_fourth_turn_within_an_hour_is_held_and_goes_out_once_released(embedded):
    listener = embedded.start()
    for turn in range(1, 4):
        send(listener.smtp_port, mail(1, **relayed(turn)))
        embedded.wait_for(sent=turn)

    queue_id = send(listener.smtp_port, mail(1, **relayed(4)))
    embedded.wait_for(sent=3, held=1)

    (held,) = mailq(embedded.environment, "--state", "held")
    assert "circles" in held["last_error"]
    manage(embedded.environment, "mailq", "release", queue_id)
    embedded.wait_for(sent=4)


def test_another_recipient_is_another_mail(embedded):
    listener = embedded.start()

    for turn in range(5):
        address = f"list-member-{turn}@example.org"
        send(listener.smtp_port, mail(1, To=address, **RELAYED), [address])

    embedded.wait_for(sent=5)


def test_an_application_with_one_message_id_for_all_its_mail_is_not_taken_for_a_loop(embedded):
    listener = embedded.start()

    for number in range(5):
        send(listener.smtp_port, mail(1, Subject=f"page {number}"))

    embedded.wait_for(sent=5)
