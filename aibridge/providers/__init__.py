"""Where may it go? Provider types, their routes and their upstream URLs, pure."""
