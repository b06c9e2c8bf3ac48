"""The command line that starts a hardened image, with the least rights, and the reason for each of its options."""
