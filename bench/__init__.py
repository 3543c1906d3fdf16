"""Sundog side by side with Ray and with what the machine can do at best."""
