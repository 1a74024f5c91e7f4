"""`python -m nextframe` is the command line."""

from nextframe.cli import main

main()
