"""Wherry and ``docker build`` side by side, on the same machine in the same run: ``make bench``."""
