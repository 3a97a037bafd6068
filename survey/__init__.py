"""What of the most downloaded distributions works in the images that Wherry makes: docs/survey.md is its result.

For every distribution and target a project that requires it is built, and its image run, or read where this machine
cannot run it.
"""
