"""The checklist of a project: is it root, which ports, which rights, what is written, is it scanned."""
