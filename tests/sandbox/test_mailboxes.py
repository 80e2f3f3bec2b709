"""Every way in which a mailbox can answer, and who may do what to it."""

import pytest

from sandbox import world
from tests.sandbox.graph_client import GATEWAY, Graph, error, json_mail, mail


@pytest.mark.parametrize(
    ("mailbox", "status", "code"),
    [
        ("unlicensed@contoso.test", 404, "MailboxNotEnabledForRESTAPI"),
        ("nobody@contoso.test", 404, "ErrorInvalidUser"),
        ("nobody@elsewhere.test", 404, "ResourceNotFound"),
        ("gateway@fabrikam.test", 404, "ResourceNotFound"),
        ("invoices@contoso.test", 404, "ErrorInvalidUser"),
        ("renamed@contoso.test", 404, "ErrorInvalidUser"),
        ("outofscope@contoso.test", 403, "ErrorAccessDenied"),
        ("policy@contoso.test", 403, "ErrorAccessDenied"),
        ("full@contoso.test", 400, "ErrorQuotaExceeded"),
        ("blocked@contoso.test", 403, "ErrorAccountDisabled"),
        ("quota@contoso.test", 500, "ErrorSubmissionQuotaExceeded"),
    ],
)
def test_a_mailbox_refuses_in_its_own_way(graph, sandbox, mailbox, status, code):
    assert error(graph.send(mail(sender=mailbox), mailbox=mailbox)) == (status, code)
    assert sandbox.deliveries() == []


def test_an_access_policy_says_that_odata_is_disabled(graph):
    response = graph.send(mailbox="policy@contoso.test")
    assert response.json()["error"]["message"] == "Access to OData is disabled."


@pytest.mark.parametrize("mailbox", ["shared@contoso.test", "billing@contoso.test", "Gateway@Contoso.TEST"])
def test_a_normal_mailbox_sends(graph, mailbox):
    assert graph.send(mail(sender=mailbox), mailbox=mailbox).status_code == 202


def test_a_mailbox_is_found_by_object_id_and_by_upn(graph, sandbox):
    box = sandbox.world()["mailboxes"]["renamed@contoso.test"]
    for key in (box["id"], "old.name@contoso.test"):
        assert graph.send(mail(sender="renamed@contoso.test"), mailbox=key).status_code == 202


def test_the_path_takes_any_case_and_the_parenthesis_form(graph):
    for path in (
        "/Users/gateway%40contoso.test/SENDMAIL",
        "/users('gateway@contoso.test')/microsoft.graph.sendMail",
    ):
        response = graph.call("POST", path, json={"message": json_mail()})
        assert response.status_code == 202


def test_a_second_tenant_has_its_own_apps_and_mailboxes(sandbox):
    fabrikam = Graph(sandbox, world.FABRIKAM_CLIENT, "sandbox-secret-fabrikam", world.SECOND_TENANT)
    assert fabrikam.send(mail(sender=""), mailbox="gateway@fabrikam.test").status_code == 202
    assert fabrikam.send(mail(sender="")).status_code == 404


def test_reading_and_writing_messages_need_their_own_roles(graph, writer):
    drafts, sent = f"/users/{GATEWAY}/messages", f"/users/{GATEWAY}/mailFolders/sentitems/messages"
    assert error(graph.call("POST", drafts, json=json_mail())) == (403, "ErrorAccessDenied")
    assert error(graph.call("GET", sent)) == (403, "ErrorAccessDenied")
    assert writer.call("POST", drafts, json=json_mail()).status_code == 201
    assert writer.call("GET", sent).status_code == 200


def test_sending_needs_mail_send(sandbox):
    sandbox.world(apps={world.CLIENT: {"roles": ["Mail.ReadWrite"]}})
    graph = Graph(sandbox)
    assert error(graph.send()) == (403, "ErrorAccessDenied")
    draft = graph.call("POST", f"/users/{GATEWAY}/messages", json=json_mail()).json()["id"]
    assert error(graph.call("POST", f"/users/{GATEWAY}/messages/{draft}/send")) == (403, "ErrorAccessDenied")


def test_read_basic_is_enough_to_search_sent_items(sandbox):
    sandbox.world(apps={world.CLIENT: {"roles": ["Mail.Send", "Mail.ReadBasic"]}})
    assert (
        Graph(sandbox).call("GET", f"/users/{GATEWAY}/mailFolders('sentitems')/messages").status_code == 200
    )


def test_rbac_sends_without_a_role_in_the_token_but_only_within_its_scope(sandbox):
    rbac = Graph(sandbox, world.RBAC_CLIENT, "sandbox-secret-rbac")
    assert rbac.send().status_code == 202
    assert error(rbac.send(mail(sender=""), mailbox="billing@contoso.test")) == (403, "ErrorAccessDenied")


def test_a_change_of_rbac_is_seen_only_after_its_delay(sandbox):
    rbac = Graph(sandbox, world.RBAC_CLIENT, "sandbox-secret-rbac")
    billing = {"mime": mail(sender=""), "mailbox": "billing@contoso.test"}
    scope = {"apps": {world.RBAC_CLIENT: {"rbac": {"Mail.Send": ["billing@contoso.test"]}}}}
    sandbox.world(behaviour={"rbac_delay": 3600}, **scope)
    assert rbac.send(**billing).status_code == 403
    assert rbac.send().status_code == 202

    sandbox.reset()
    sandbox.world(behaviour={"rbac_delay": 0}, **scope)
    rbac = Graph(sandbox, world.RBAC_CLIENT, "sandbox-secret-rbac")
    assert rbac.send(**billing).status_code == 202
    assert rbac.send().status_code == 403
