"""Many repositories in one run: found, read safely, hardened by workers, written by one writer, journalled."""
