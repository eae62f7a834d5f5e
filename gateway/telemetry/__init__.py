"""What operators see: log lines (`logs`, through `redaction` and `sink`) and Prometheus metrics (`metrics`)."""
