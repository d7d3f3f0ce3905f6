"""The command line of sealed evidence and of holds; what is sealed and how is `ullage.custody`."""
