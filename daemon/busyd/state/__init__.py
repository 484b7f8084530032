"""What is known at this moment, in memory. `State.publish()` is where what others may see changes."""
