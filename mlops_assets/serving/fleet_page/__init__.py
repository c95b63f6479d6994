"""The fleet page and a page for each model: plain HTML from the server, without a framework or a script."""
