"""The truth in SQL, behind the ports of `bot.core.ports`, and the same ports in memory.

  schema; tables, training_tables, house_tables
                   what is kept, who owns it, which index answers which question
  database         opens SQLite or PostgreSQL as we need them: `open_store(url) -> Store`
  unit_of_work     one transaction: begin, repositories, commit or roll back, lost races named
  accounts, jobs, artifacts, deliveries, ledger, settings,
  communities, measures, cases                               one repository each
  memory           the twin of all of it, with real transactions; ships, and fast tests use it
  migrate          brings a database to the newest revision under a lock

Only `bot.app` and the command line open a store. To add a table: add it to `tables.py` with its
owner (`owned_by` or `nobodys`), write a revision in `migrations/versions`, and the tests tell you
what they disagree about.
"""
