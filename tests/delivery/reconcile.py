"""Three ledgers, and what must hold between what clients were told, what Graph applied, what is on record."""

from collections import Counter
from dataclasses import dataclass, field

from tests.harness.processes import rows
from tests.harness.stacks import Stack

OPEN = {"queued", "reserved", "sending", "deferred", "uncertain"}


@dataclass
class Ledgers:
    """The three, by Message-ID."""

    told: set[str]
    applied: Counter = field(default_factory=Counter)
    recorded: dict[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, stack: Stack, told: set[str]) -> "Ledgers":
        applied = Counter(
            entry["internet_message_id"].strip("<>")
            for entry in stack.sandbox.ledger()
            if entry["decision"] == "applied" and entry.get("internet_message_id")
        )
        query = (
            "SELECT m.message_id, d.state, d.copies FROM mailrelay_delivery d "
            "JOIN mailrelay_message m ON m.id = d.message_id"
        )
        recorded = {row[0]: (row[1], row[2]) for row in rows(stack.environment, query)}
        return cls(told, applied, recorded)

    def open(self) -> dict[str, str]:
        """Name what still has to happen."""
        return {name: state for name, (state, _) in self.recorded.items() if state in OPEN}

    def assert_nothing_lost(self) -> None:
        assert not self.told - self.recorded.keys(), "told 250 and not on record"
        assert not {
            name for name, (state, _) in self.recorded.items() if state == "sent" and not self.applied[name]
        }, "recorded as sent, and Graph never had it"
        assert not self.applied.keys() - self.recorded.keys(), "sent without a record"

    def assert_nothing_doubled_but_by_policy(self) -> None:
        doubled = {
            name: (count, self.recorded[name])
            for name, count in self.applied.items()
            if count > 1 + self.recorded[name][1]
        }
        assert not doubled, f"more copies than the policy made: {doubled}"
        assert max((copies for _, copies in self.recorded.values()), default=0) <= 1
