"""What the command line shows and asks; everything it does is in the package."""
