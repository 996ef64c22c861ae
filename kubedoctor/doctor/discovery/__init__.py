"""How clusters nobody told us of are found: running processes, and what distributions leave in usual places."""
