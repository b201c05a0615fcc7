"""The mmsent worker: Kafka posts in, scores, rows and alerts out."""
