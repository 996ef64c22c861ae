"""What a cluster on the host leaves on the machine, taken away again: only what it made, by record and by name.

Before anything starts, `record` writes down what is there of all that components say they leave (`Component.cleanup`).
When the cluster has ended, however it did, `clear` removes what has come since, and the record with it. It is done by a
child of the keeper, or by the next command where the keeper was killed; whoever does it holds the lock of the place.
"""
