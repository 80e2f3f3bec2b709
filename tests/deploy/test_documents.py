"""The pages that get a stranger to production: their commands, paths, variables and quotations are real."""

import ast
import re
import subprocess

import pytest

from gateway.settings import ENV
from tests.deploy.tools import ROOT, run
from tests.project.files import files

PAGES = ("deploy", "scaling", "install-entra", "troubleshooting", "migrating", "security")
TEXTS = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in PAGES}
COMMANDS = {path.stem for path in files(".py", under=("mailrelay/management/commands",))}
DJANGO = {"migrate", "check", "createsuperuser"}
#: Variables that are not the gateway's own settings.
OTHERS = {
    *("PASSWORD", "HOST", "OBJECT_ID", "ISSUER_URL", "NAME", "FILE", "END", "ID", "POSTGRES_PASSWORD"),
    *(
        "RABBITMQ_PASSWORD",
        "FLOWER_BASIC_AUTH",
        "HTTPS_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SANDBOX_PAGE_PORT",
    ),
}


def blocks(text: str, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page_are_shell(page, tmp_path):
    for number, block in enumerate(blocks(TEXTS[page])):
        file = tmp_path / f"{number}.sh"
        file.write_text("#!/bin/bash\n" + block.replace("…", "x"))
        assert subprocess.run(["bash", "-n", str(file)], check=False).returncode == 0, block
        # Variables that the page has named before are not assigned in the block; examples stay unquoted.
        done = run("shellcheck", "--exclude=SC2154,SC2155,SC2034", "--severity=error", str(file))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_the_commands_name_are_there(page):
    named = re.findall(r"(?<![\w/.-])((?:deploy|docker)/[\w./-]*\w)", TEXTS[page])

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_gateway_that_it_names_exist(page):
    named = set(re.findall(r"manage\.py (\w+)", TEXTS[page]))

    assert named - COMMANDS - DJANGO == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_variables_that_it_names_are_declared(page):
    named = set(re.findall(r"`([A-Z][A-Z_]{3,}[A-Z])(?:=[^`]*)?`", TEXTS[page]))
    declared = set(ENV.declared)

    assert named - declared - OTHERS == set()


def constants() -> list[str]:
    paths = files(".py", under=("mailrelay", "gateway"))
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_what_doctor_is_said_to_print_it_prints():
    quotations = re.findall(r"^\| .* \| `([^`]*)` \|$", TEXTS["troubleshooting"], re.MULTILINE)
    known = constants()

    assert len(quotations) > 7
    assert [text for text in quotations if not any(text in constant for constant in known)] == []


def test_the_arithmetic_of_the_table_of_senders_is_right():
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| (\d+) \|$", TEXTS["scaling"], re.MULTILINE)

    assert len(rows) == 4
    for row in rows:
        day, hour, senders = (int(cell.replace(",", "")) for cell in row)
        assert hour == day * 15 // 100
        assert senders == max(-(-day // 10_000), -(-hour // 1_800))


def test_the_secrets_of_the_page_are_those_that_the_manifests_mount():
    made = set(re.findall(r"--from-literal=(\w+)=", TEXTS["deploy"]))
    mounted = {
        name
        for path in files(".yaml", under=("deploy/overlays",))
        for name in re.findall(r"/run/secrets/(?:platform|flower)/(\w+)", path.read_text())
    }

    assert mounted
    assert mounted <= made
