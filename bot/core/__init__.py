"""Pure values and ports of the gateway: no library of a platform, no SQL, nothing that waits."""
