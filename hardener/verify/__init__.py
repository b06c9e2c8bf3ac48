"""`harden verify`: builds and runs a project before and after its hardening, and compares what was seen."""
