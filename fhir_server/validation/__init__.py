"""Validation against profiles as the server does it: the policy, the packages, and the profiles in force."""
