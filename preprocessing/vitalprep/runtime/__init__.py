"""What every module may use: errors, log and progress, worker processes, periodic calls, strict YAML."""
