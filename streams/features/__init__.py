"""What Redis knows of users and items while they act: sessions, recents, hot lists, follows, blocks."""
