"""Faults under load, on real Kafka, PostgreSQL and Redis, and a checker that knows what must come out."""
