"""How a version comes to serve: traffic plans, and the tests that advance or revert them."""
