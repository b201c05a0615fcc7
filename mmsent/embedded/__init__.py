"""The one-machine stack: a local Kafka-protocol broker and Redis-protocol server, SQLite, local pictures.

For trying things out: the broker keeps about 5 MB a partition, forgets everything at the end, and works with
one worker only.
"""
