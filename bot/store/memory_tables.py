"""The in-memory store's tables, and a transaction's own version of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.domain import Account, Artifact, Delivery, Job, LedgerEntry, Member
from bot.core.house import AuditEntry, Block, Case, Community, Grant


@dataclass(slots=True)
class Tables:
    """One version of everything. The dicts are never changed once committed."""

    accounts: dict[str, Account] = field(default_factory=dict)
    identities: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    communities: dict[str, Community] = field(default_factory=dict)
    places: dict[tuple[str, str], str] = field(default_factory=dict)  # a community's id by its key
    members: dict[tuple[str, str], Member] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    erased: dict[str, None] = field(default_factory=dict)
    origin_keys: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    ledger: dict[str, LedgerEntry] = field(default_factory=dict)
    settings: dict[tuple[str, str], Any] = field(default_factory=dict)
    audit_log: dict[int, AuditEntry] = field(default_factory=dict)
    blocks: dict[tuple[str, str], Block] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    virtual_time: float = 0.0


class Version:
    """A transaction's view of the tables; copies a table when it is first changed."""

    def __init__(self, tables: Tables, writable: bool) -> None:
        self.tables = replace(tables)
        self.writable = writable
        self._own: set[str] = set()

    def change(self, table: str) -> Any:
        """The table's dict, ours to change."""
        self.check_writable()
        if table not in self._own:
            self._own.add(table)
            setattr(self.tables, table, dict(getattr(self.tables, table)))
        return getattr(self.tables, table)

    def check_writable(self) -> None:
        """A change in a reader is a mistake in our code, and is told at once."""
        if not self.writable:
            raise RuntimeError("this unit of work may not change anything (any more)")
