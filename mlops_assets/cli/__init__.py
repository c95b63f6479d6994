"""The command line ``mlops-assets``: one file per command."""
