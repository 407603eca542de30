"""Who may use the gateway: keys, what each may spend, and what the operator denies."""
