"""What Alembic runs: the migrations, in the transaction that it is given."""

from alembic import context

from onlygood.station.store.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
