"""The WebSocket stream: one reader of the log, frames encoded once, and what each client takes of them."""
