"""Lets `python -m hardener` do what `harden` does."""

from hardener.cli import main

main(prog_name="harden")
