"""docker/compose.yaml: fits the specification, and starts what the manifests start."""

import re
import stat
import subprocess

import pytest
import yaml

from tests.deploy.tools import ROOT, run

FILE = ROOT / "docker" / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
OURS = ("single", "migrate", "relay", "worker", "web", "flower")


def test_it_fits_the_specification():
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE))

    assert done.returncode == 0, done.stdout


def test_what_does_not_fit_is_found(tmp_path):
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text().replace("command: [relay]", "comand: [relay]"))

    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)).returncode == 1


@pytest.mark.parametrize(
    ("profile", "services"),
    [
        ("single", {"single"}),
        (
            "scaled",
            {
                *(
                    "postgres",
                    "rabbitmq",
                    "migrate",
                    "relay",
                    "worker",
                    "web",
                    "flower",
                    "prometheus",
                    "grafana",
                )
            },
        ),
        (
            "scaled-redis",
            {*("postgres", "redis", "migrate", "relay", "worker", "web", "flower", "prometheus", "grafana")},
        ),
    ],
)
def test_a_profile_starts_its_services(profile, services):
    assert {name for name, service in SERVICES.items() if profile in service["profiles"]} == services


def test_there_are_two_workers():
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_rights_to_spare(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_a_server_has_a_health_check_a_pinned_version_and_a_limit(name):
    service = SERVICES[name]

    assert service["healthcheck"]["test"]
    assert re.search(r":v?\d+\.\d+", service["image"])
    assert service["deploy"]["resources"]["limits"]["memory"]


def test_passwords_are_files_and_never_variables():
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            secret = re.search(r"PASSWORD|SECRET|KEY|_URL|AUTH", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"


def test_only_mail_is_published_beyond_this_machine():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            mail = name in {"single", "relay"} and port.endswith(":25")
            assert mail or port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_the_files_that_it_mounts_are_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                assert (FILE.parent / volume.split(":")[0]).exists(), volume


@pytest.mark.parametrize(("broker", "scheme"), [("rabbitmq", "amqp"), ("redis", "redis")])
def test_the_secrets_that_it_names_are_made(broker, scheme, tmp_path):
    script = tmp_path / "make-secrets.sh"
    script.write_bytes((FILE.parent / "make-secrets.sh").read_bytes())
    script.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "AZURE_CLIENT_SECRET": "a~b$c"}
    for _ in range(2):
        subprocess.run([str(script), broker], check=True, env=environment, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    assert set(made) == set(COMPOSE["secrets"])
    assert made["azure_client_secret"] == "a~b$c"
    assert made["broker_url"].startswith(f"{scheme}://")
    assert made["postgres_password"] in made["database_url"]
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_the_processes_read_the_secrets_as_they_are_made(tmp_path):
    from gateway.env import Environment
    from mailrelay.models.encrypted import _box

    key = subprocess.run(
        ["sh", "-c", "openssl rand -base64 32 | tr +/ -_"], check=True, capture_output=True, text=True
    ).stdout.strip()
    (tmp_path / "key").write_text(key)
    environment = Environment({"FIELD_ENCRYPTION_KEYS_FILE": str(tmp_path / "key")})

    assert _box((environment.secret("FIELD_ENCRYPTION_KEYS", help=""),)).encrypt(b"a")
