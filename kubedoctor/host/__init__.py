"""The door to the machine: what it is asked, and how."""
