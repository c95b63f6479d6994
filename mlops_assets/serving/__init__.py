"""The gateway: one process that serves every model which has a champion."""
