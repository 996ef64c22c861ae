"""What components write: its formats, put in time order, followed, and the line that tells why one ended."""
