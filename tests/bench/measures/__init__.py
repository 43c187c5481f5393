"""What is measured. Each measure takes the stand and gives figures by name; every round takes all of them in turn."""
