"""The distribution protocol (OCI distribution-spec 1.1): where registries are, who we are there, what goes to and fro.

Nothing here knows of builds. A registry is not trusted: whatever it sends is measured and hashed before it has a name.
"""
