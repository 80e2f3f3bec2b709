"""Answering the question that a page of the console asks before it acts."""

import re

LIST = "/admin/mailrelay/message/"
WHY = "Asked for by the owner"


def answer_to(question, **more) -> dict[str, str]:
    """What the form of the page `question` sends when it is confirmed, with the fields `more` filled in."""
    form = question.context["form"]
    hidden = {field: str(value) for field, value in form.initial.items()}
    return hidden | {"why": WHY, "confirmed": "yes"} | {name: str(value) for name, value in more.items()}


def address(message, name) -> str:
    return f"{LIST}{message.pk}/do/{name}/"


def asked(browser, message, name, **more) -> dict[str, str]:
    """Open the question about one message; return what its form would send."""
    question = browser.get(address(message, name))
    assert question.status_code == 200
    return answer_to(question, **more)


def press(browser, message, name, form) -> str:
    answer = browser.post(address(message, name), form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def ticked(browser, action, messages, **more):
    data = {"action": action, "_selected_action": [str(message.pk) for message in messages], "index": "0"}
    return browser.post(LIST, {**data, "select_across": "0", **more}, follow=True)


def confirm(browser, action, messages, *, filters="", across=False, **more) -> str:
    """Ask about many messages and confirm it; return the page that follows."""
    data = {"action": action, "_selected_action": [str(message.pk) for message in messages]}
    data |= {"select_across": "1" if across else "0"}
    question = browser.post(LIST + filters, {**data, "index": "0"})
    return browser.post(LIST + filters, {**data, **answer_to(question, **more)}, follow=True).content.decode()


def sealed_in(answer) -> str:
    """What the page of a trial hands on to the next press."""
    return re.search(r'name="sealed" value="([^"]+)"', answer.content.decode())[1]


def add_registration(browser, form):
    """Enter a new app registration, and store what was tried, whatever came of the trial."""
    page = "/admin/mailrelay/appregistration/add/"
    tried = browser.post(page, form)
    assert tried.status_code == 200
    return browser.post(page, {"step": "save", "sealed": sealed_in(tried), "override": "yes"}, follow=True)
