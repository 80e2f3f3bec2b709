"""Who is told what: alerts and their channels, notices of mail that failed, delivery status notifications."""
