"""A stranger's picture, fetched and decoded with care."""
