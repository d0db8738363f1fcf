"""The proof: blob by blob, and the report that tells it."""
