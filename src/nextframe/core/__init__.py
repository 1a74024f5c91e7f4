"""Types, errors, registry and seeding that every other part builds on."""
