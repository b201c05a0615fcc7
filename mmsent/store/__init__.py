"""The database: tables, idempotent writes, reads for people, edits by people."""
