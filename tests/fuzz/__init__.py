"""Every parser and the verifiers, fed with bytes one step away from good ones: `make fuzz`."""
