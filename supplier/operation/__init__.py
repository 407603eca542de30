"""What an operator asks: earnings, funds, prices, health, backups, upgrades and leaving."""
