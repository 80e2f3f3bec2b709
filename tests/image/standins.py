"""What a registry would give: the base image and the servers', made from Debian's packages.

Machines that reach package indexes through an index of their own say so in pip's and apt's settings; these go
into the base, so that the instructions of docker/Dockerfile reach them too. None is written down here.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.image.engine import Engine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RELEASE = "bookworm"
DOCKERFILE = ROOT / "docker" / "Dockerfile"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def base_name() -> str:
    (name,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return name


def servers_of(compose: dict) -> list[str]:
    """Return the images of compose.yaml that the servers' stand-in is tagged as."""
    return [compose["services"][name]["image"] for name in ("postgres", "rabbitmq", "redis")]


def sources() -> list[str]:
    """Return this machine's own lines for the release; none: mmdebstrap's default."""
    wanted = ["--format", "deb $(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"]
    done = subprocess.run(["apt-get", "indextargets", *wanted], check=False, capture_output=True, text=True)
    return sorted({line for line in done.stdout.splitlines() if line.split()[2].startswith(RELEASE)})


def apt_options() -> list[str]:
    done = subprocess.run(["apt-config", "dump"], check=False, capture_output=True, text=True)
    wanted = r"^Acquire::(?:https?|Check|Retries|AllowInsecure)[^ ]* .*;$"
    return re.findall(wanted, done.stdout, re.MULTILINE)


def pip_settings() -> str:
    """Return this machine's settings of pip as a file, as far as they name an index or whom to trust."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wanted = r"^\S+\.(cert|index-url|extra-index-url|trusted-host|proxy)='(.*)'$"
    found = dict(re.findall(wanted, listed, re.MULTILINE))
    if Path(found.get("cert", "")).is_file():
        found["cert"] = CERTIFICATES
    if "file:" in found.get("extra-index-url", ""):
        del found["extra-index-url"]
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in found.items())


def make_base(engine: Engine) -> None:
    """Import a Debian of the release with its Python under the name that docker/Dockerfile asks for."""
    settings = engine.folder / "pip.conf"
    settings.write_text(pip_settings())
    archive = engine.folder / "base.tar"
    options = [f"--aptopt={line}" for line in apt_options()]
    hook = f'--customize-hook={HERE / "customize.sh"} "$1"'
    packages = "--include=python3,python3-venv,ca-certificates"
    environment = os.environ | {"IMAGE_TEST_PIP_CONF": str(settings), "TMPDIR": str(engine.folder)}
    done = subprocess.run(
        [*("mmdebstrap", "--variant=minbase", packages, hook), *options, RELEASE, str(archive), *sources()],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine.docker("import", "--change", f"ENV {path} LANG=C.UTF-8", str(archive), base_name())
    archive.unlink()


def build(
    engine: Engine, folder: Path, file: Path, *names: str, buildkit: str = "0", **arguments: str
) -> None:
    """Build a Dockerfile, by the classic builder unless `buildkit` is 1; neither asks a registry."""
    tags = [word for name in names for word in ("--tag", name)]
    proxies = {name: os.environ[name] for name in PROXIES if name in os.environ}
    more = [word for pair in (proxies | arguments).items() for word in ("--build-arg", "=".join(pair))]
    engine.docker(
        *("build", "--network", "host", "--file", str(file), *tags, *more, str(folder)),
        env={"DOCKER_BUILDKIT": buildkit},
    )
