"""What the system tests share: running a command natively and confined, and comparing what it did."""
