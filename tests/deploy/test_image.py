"""docker/: clean for its linters, and what it makes starts as pods start it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.tools import ROOT, run

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
PROCESSES = ("gateway", "relay", "worker", "web", "flower", "migrate")


def test_hadolint_has_nothing_to_say():
    done = run("hadolint", "docker/Dockerfile")

    assert done.returncode == 0, done.stdout


def test_shellcheck_has_nothing_to_say():
    scripts = [
        str(path) for folder in ("docker", "scripts", "deploy") for path in (ROOT / folder).rglob("*.sh")
    ]
    done = run("shellcheck", *scripts)

    assert len(scripts) > 4
    assert done.returncode == 0, done.stdout


def test_checkov_finds_no_weakness_in_the_dockerfile():
    done = run("checkov", "--file", "docker/Dockerfile", "--skip-download", "--compact", "--quiet")

    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_a_number_that_is_not_root():
    assert re.findall(r"^USER (\d+):0$", DOCKERFILE, re.MULTILINE) == ["10001"]


def test_the_image_sets_what_the_contract_says_it_sets():
    settings = dict(
        re.findall(r"(SMTP_LISTENERS|HTTP_LISTEN|DATA_DIR|SMTP_ALLOWED_NETWORKS)=(\S+)", DOCKERFILE)
    )

    assert settings == {
        "SMTP_LISTENERS": "smtp://0.0.0.0:25?starttls=off",
        "HTTP_LISTEN": "0.0.0.0:8080",
        "DATA_DIR": "/data",
        "SMTP_ALLOWED_NETWORKS": "private",
    }
    assert 'CMD ["gateway"]' in DOCKERFILE


def test_nothing_installs_a_compiler_or_a_package_without_a_hash():
    assert "--require-hashes" in (ROOT / "docker" / "install.sh").read_text()
    assert "--only-binary :all:" in (ROOT / "docker" / "install.sh").read_text()
    assert not re.search(r"gcc|build-essential|-dev\b|curl|wget", DOCKERFILE)


def test_the_build_context_has_what_the_dockerfile_copies():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for source in line.split()
    ]

    assert copied
    for source in copied:
        assert any(Path(source).match(pattern) for pattern in allowed), source


@pytest.mark.parametrize("process", PROCESSES)
def test_the_entry_point_knows_each_process(process):
    assert re.search(rf"^{process}\)", (ROOT / "docker" / "entrypoint.sh").read_text(), re.MULTILINE)


def entry_point(*words: str, **environment: str) -> subprocess.CompletedProcess:
    folder = ROOT / ".venv" / "bin"
    return subprocess.run(
        [str(ROOT / "docker" / "entrypoint.sh"), *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/tmp"} | environment,
    )


def test_the_entry_point_runs_commands_of_the_gateway_and_other_programs(tmp_path):
    assert "rungateway" in entry_point("help", DATA_DIR=str(tmp_path)).stdout
    assert entry_point("echo", "a program").stdout == "a program\n"


def test_the_entry_point_lets_nobody_see_flower_without_a_password(tmp_path):
    done = entry_point("flower", DATA_DIR=str(tmp_path))

    assert done.returncode == 1
    assert "FLOWER_BASIC_AUTH_FILE" in done.stderr


def test_the_health_check_tells_a_process_that_answers_from_one_that_does_not(embedded):
    command = [str(ROOT / "docker" / "healthcheck.sh")]
    process = embedded.listener()
    environment = {"PATH": os.environ["PATH"], "HTTP_LISTEN": process.environment["HTTP_LISTEN"]}
    before = subprocess.run(command, env=environment, check=False).returncode
    process.start()

    assert before == 1
    assert subprocess.run(command, env=environment, check=False).returncode == 0


def test_no_builder_needs_a_frontend_from_a_registry():
    """A `# syntax` line does; neither the classic builder nor BuildKit needs it for what the file says."""
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE, re.MULTILINE | re.IGNORECASE)
    assert not re.search(r"^(RUN|COPY|ADD) --(?!from=)", DOCKERFILE, re.MULTILINE)


def test_the_programs_of_the_base_lose_their_setuid_bit():
    *_, last = DOCKERFILE.split("\nFROM ")

    assert re.search(r"find / -xdev -perm /6000 -type f -exec chmod a-s \{\} \+", last)
