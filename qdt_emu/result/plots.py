"""Pictures of results; the only modules here that import matplotlib."""
