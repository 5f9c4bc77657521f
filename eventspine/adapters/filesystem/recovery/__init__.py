"""After a crash or damage: files brought to where the log can take over, or set aside."""
