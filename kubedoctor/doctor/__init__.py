"""What `check` needs: targets, facts into findings, causes, fixes."""
