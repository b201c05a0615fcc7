"""Until when posts are pruned.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "pruning",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("posts_before", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pruning"),
    )


def downgrade() -> None:
    op.drop_table("pruning")
