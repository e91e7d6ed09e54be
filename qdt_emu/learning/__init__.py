"""Stage seven: what measurements teach about a device, with how far the lesson can be trusted."""
