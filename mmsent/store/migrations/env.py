"""Alembic runs this. The connection, its transaction and its lock are those of `schema.upgrade`."""

from alembic import context

from mmsent.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too: the transaction was begun explicitly
)
with context.begin_transaction():
    context.run_migrations()
