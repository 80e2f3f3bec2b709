"""Write the PrometheusRule of deploy/ from the rules of docker/prometheus; `make docs` calls it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docker" / "prometheus" / "rules.yml"
TARGET = ROOT / "deploy" / "components" / "monitoring" / "prometheusrule.yaml"
HEAD = """\
# Made by `make docs` from docker/prometheus/rules.yml; edit it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: graph-smtp
  namespace: graph-smtp-relay
spec:
"""


def wrapped(rules: str) -> str:
    """Return `rules` as the manifest that the Prometheus operator takes."""
    lines = [line for line in rules.splitlines() if not line.startswith("#")]
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    TARGET.write_text(wrapped(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{TARGET} is written.")
