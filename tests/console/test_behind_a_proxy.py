"""The one process's web behind a proxy, which tells from where somebody signs in if it is a named one."""

import re

import pytest
import requests

from tests.harness.processes import rows


@pytest.mark.parametrize(("named", "found"), [("127.0.0.0/8", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")])
def test_a_failed_login_counts_by_the_address_that_a_named_proxy_tells(embedded, named, found):
    gateway = embedded.start(WEB_TRUSTED_PROXIES=named)
    page = f"http://127.0.0.1:{gateway.http_port}/admin/login/"
    with requests.Session() as session:
        session.headers["X-Forwarded-For"] = "192.0.2.66, 203.0.113.9:51234"
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', session.get(page, timeout=60).text)[
            1
        ]
        form = {"username": "ada", "password": "wrong", "csrfmiddlewaretoken": token}
        assert session.post(page, form, timeout=60).status_code == 200

    keys = {key for (key,) in rows(embedded.environment, "SELECT key FROM mailrelay_loginbucket")}
    assert f"address:{found}" in keys
