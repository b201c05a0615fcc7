"""Real Kafka, PostgreSQL and Redis for the tests, and the tests that need them."""
