"""What `up` needs: paths, plan, keys, binaries, and the processes that keep and run a place."""
