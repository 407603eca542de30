"""`python -m supplier` is the console script `supplier`."""

from supplier.cli import main

main()
