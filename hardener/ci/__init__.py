"""Checks in CI: what a repository's pipelines scan already, and what `harden ci` adds."""
