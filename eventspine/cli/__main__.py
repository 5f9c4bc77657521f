"""`python -m eventspine.cli`."""

from eventspine.cli.main import main

main()
