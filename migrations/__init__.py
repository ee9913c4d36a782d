"""Revisions of the database. They run at start (`bot.store.migrate`); nobody calls Alembic by hand.

To change the schema: change the tables in `bot/store`, run `python -m migrations "what changes"`,
read and finish the file it writes, run the tests. The rules stand in `script.py.mako`.
"""
