"""What brings blobs in and carries them out."""
