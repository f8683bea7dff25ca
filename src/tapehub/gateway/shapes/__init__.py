"""The shapes of requests and answers, for OpenAPI and for whoever checks them."""
