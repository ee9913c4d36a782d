"""What every table must say of itself, so that nobody's data is ever forgotten."""

from __future__ import annotations

import sqlalchemy as sa

from bot.store import house_tables, tables, training_tables
from bot.store.schema import Base

TABLES = {table.name: table for table in Base.metadata.sorted_tables}

DESIGNED = (
    *("accounts", "identities", "communities", "members", "jobs", "artifacts", "deliveries"),
    *("ledger_entries", "settings", "audit_log", "scheduler_clock"),
    *("consents", "contributions", "datasets", "runs", "adapters"),
    *("blocks", "grants", "cases"),
)


def test_there_is_a_table_for_everything_the_studio_keeps() -> None:
    assert set(TABLES) == set(DESIGNED)
    assert tables.Base is training_tables.Base is house_tables.Base


def test_every_table_says_whose_data_it_holds() -> None:
    for name, table in TABLES.items():
        owners = table.info.get("owners")
        assert owners is not None, f"{name} must declare owned_by(...) or nobodys(...)"
        assert set(owners) <= set(table.columns.keys()), f"{name} names a column it does not have"
        assert owners or table.info["why"], f"{name} must say why it is nobody's"


def test_no_column_that_names_an_account_is_left_out() -> None:
    for name, table in TABLES.items():
        naming = {
            column.name
            for column in table.columns
            if column.name.endswith("account_id")
            or any(key.column.table.name == "accounts" for key in column.foreign_keys)
        }
        assert naming <= set(table.info["owners"]), f"{name} has an owner it does not declare"


def test_every_constraint_and_index_has_a_name() -> None:
    for table in TABLES.values():
        for part in (*table.constraints, *table.indexes):
            assert part.name, f"{table.name}: {part!r}"


def test_the_ledger_and_the_audit_log_outlive_the_person() -> None:
    for name in ("ledger_entries", "audit_log"):
        assert not TABLES[name].foreign_keys


def test_money_and_costs_are_wide_integers() -> None:
    for table in TABLES.values():
        for column in table.columns:
            if column.name.endswith(("gpu_ms", "size_bytes")):
                assert isinstance(column.type, sa.BigInteger), f"{table.name}.{column.name}"
