"""How the endpoint serves, and what that costs."""
