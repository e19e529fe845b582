"""Arrays in the bytes of messages: the one place where numpy and protobuf meet."""
