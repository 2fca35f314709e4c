"""`python -m compasso.cli`."""

from compasso.cli import main

main()
