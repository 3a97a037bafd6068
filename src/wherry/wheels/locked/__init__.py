"""The locks of other tools, read as those tools install them: poetry.lock, pdm.lock, Pipfile.lock, conda-lock.yml.

One module for each format: texts and a target to pins, exact versions with their hashes. Nothing here runs or fetches.
"""
